"""Objectives that follow one another in one training. A new one is a line in `COMPOSED`."""

from dataclasses import dataclass
from typing import get_args

from ...core.records import PreferenceSource

TEACHER_PAIRS = frozenset[PreferenceSource]({"teacher_pair"})


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a training: an objective of `OBJECTIVES` and the preferences it learns from."""

    objective: str
    sources: frozenset[PreferenceSource] | None = None
    """Where its preferences come from; None: from wherever the configuration lets them come."""


COMPOSED: dict[str, tuple[Phase, ...]] = {
    # Ravi et al. (2024): the teacher's own order first, then the student's pairs.
    "brio-dpo": (Phase("brio", TEACHER_PAIRS), Phase("dpo", frozenset(get_args(PreferenceSource)) - TEACHER_PAIRS)),
}
