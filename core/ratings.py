"""Pairs of texts that a critic compared and people rated blind, as plain records. Storing them is the store's."""

from dataclasses import dataclass
from typing import Literal

from .records import Outcome

RatedPairs = Literal["test", "dialogues"]
"""Which pairs people rate: the student's outputs on test inputs against the teacher's, which the judge compared, or
those that the critic compared in dialogues."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person said of a pair without knowing whose the texts are."""

    rater: str
    outcome: Outcome | None
    """How the pair's first text fared against the second; None where the person passed it over."""
    first_left: bool
    """Whether the first text stood on the left."""


@dataclass(frozen=True, slots=True)
class RatedPair:
    """Two texts, what the critic (of test pairs: the judge) said of them, and what people did."""

    version: int | None
    """The adapter whose output the first text is; None for a pair of a dialogue."""
    outcome: Outcome
    """How the first text fared before the critic."""
    p_forward: float
    """The critic's p(first better) with the first text shown first."""
    p_reverse: float
    """The critic's p(first better) with the first text shown second."""
    first_length: int
    """In words."""
    second_length: int
    ratings: tuple[Rating, ...]
    """At most one of each person."""
