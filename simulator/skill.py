"""The contract of a skill: what a simulated teacher and critic know of one task.

A skill is a folder beside this file and one line in `skills.py`. What is common to all skills (prompts, labels, faults,
the protocol) knows a skill by what stands here and nothing else of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Assessment:
    """What a rubric found."""

    score: float
    """How good the text is, from 0 to 1."""
    parts: dict[str, float]
    """Each part of the skill's rubric, from 0 to 1, in the rubric's own order."""
    meets: bool
    """Whether every part is up to its own threshold."""


class Rubric(Protocol):
    """One judge's standard. Pure: the same texts always get the same assessment."""

    @property
    def name(self) -> str:
        """The model that judges by it."""

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each part counts; they add up to 1."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What each part must reach."""

    @property
    def sharpness(self) -> float:
        """How steeply a difference in score turns into a preference."""

    def assess(self, source: str, text: str, heard: Sequence[str] = ()) -> Assessment:
        """Judges `text` as what the skill makes of `source`; both may be anything at all, the empty text included.

        Args:
            source: The task's input.
            text: The output for it.
            heard: Endings that were heard too often lately; a skill to which they do not matter ignores them.
        """


@dataclass(frozen=True, slots=True)
class Remarks:
    """What a critic of a skill says about a text, by the parts of the skill's rubric."""

    works: Mapping[str, tuple[str, ...]]
    """Ways to praise each part."""
    missing: Mapping[str, str]
    """What to say of a part that is not up to its threshold; fields in braces come from `details`."""
    nothing_missing: str
    """What to say where every part is."""
    better: Mapping[str, str]
    """What one of two texts has over the other in each part: goes on after `The first text `."""
    details: Callable[[str, str], Mapping[str, str]]
    """The fields of `missing`, from the source and the draft."""
    suggest: Callable[..., str]
    """How the draft might go instead: `suggest(source, *parts)`, where chance follows from `parts`."""


@dataclass(frozen=True, slots=True)
class Skill:
    """One task that the simulated cast can teach and judge."""

    task: str
    """The name of the task."""
    tag: str
    """The tag that holds the input in the task's prompts."""
    rubrics: Mapping[str, Rubric]
    """The standard of each model that judges."""
    demonstrate: Callable[[str, int, float, Sequence[str], str], list[str]]
    """The teacher, `demonstrate(source, count, quality, heard, key)`: `count` texts for any source with a word in it,
    of which the share `quality` meets the critic's rubric; `heard` are endings to avoid, `key` settles everything."""
    remarks: Remarks
