"""The critic and the judge: which of two texts is better and why, and what a draft lacks.

All of it is worked out from a rubric and, for what is said in words, from the skill's remarks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.text import words
from .chance import choose, happens
from .settings import SimulatorSettings
from .skill import Assessment, Remarks, Rubric

_SURE = 0.999
"""No verdict is surer than this, as label probabilities are read from a softmax."""
_FIRST_REGARDLESS = 0.95
"""The probability that the first text gets where it wins for its position."""
_LITTLE_WORKS = "Little works so far."
_NO_PART_BETTER = "is the better one on the whole."


@dataclass(frozen=True, slots=True)
class Critique:
    """What a critic writes about a draft."""

    works: str
    missing: str
    suggestion: str

    def as_dict(self) -> dict[str, str]:
        """The critique as the JSON object that clients ask for."""
        return {"works": self.works, "missing": self.missing, "suggestion": self.suggestion}

    def as_text(self) -> str:
        """The critique in three lines."""
        return f"Works: {self.works}\nMissing: {self.missing}\nSuggestion: {self.suggestion}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a critic made of two texts."""

    first: Assessment
    second: Assessment
    p_first: float
    """The probability that the first is better, with whatever biases and faults the settings ask for."""


def compare(
    rubric: Rubric,
    source: str,
    first: str,
    second: str,
    heard: Sequence[str],
    settings: SimulatorSettings,
    key: str,
) -> Comparison:
    """Weighs two texts for the same source against each other."""
    one, other = rubric.assess(source, first, heard), rubric.assess(source, second, heard)
    gap = one.score - other.score
    longer = math.log((len(words(first)) + 1) / (len(words(second)) + 1))
    p = 1 / (1 + math.exp(-max(-50.0, min(50.0, rubric.sharpness * gap + settings.prefer_long * longer))))
    # A mistake is about two texts, whichever is shown first: averaging both orders must not mend it.
    if happens(settings.flip_rate, str(settings.seed), "flip", source, *sorted((first, second))):
        p = 1 - p
    if happens(settings.prefer_first, key, "prefer first"):
        p = max(p, _FIRST_REGARDLESS)
    return Comparison(one, other, min(_SURE, max(1 - _SURE, p)))


def reason(rubric: Rubric, remarks: Remarks, comparison: Comparison, label: str) -> str:
    """One sentence for the text of this label: the part in which it has most over the other text."""
    name, better, worse = "first", comparison.first.parts, comparison.second.parts
    if label == "2":
        name, better, worse = "second", worse, better
    lead = {part: rubric.weights[part] * (better[part] - worse[part]) for part in rubric.weights}
    strongest = max(lead, key=lambda part: lead[part])
    return f"The {name} text {remarks.better[strongest] if lead[strongest] > 0 else _NO_PART_BETTER}"


def critique(
    rubric: Rubric,
    remarks: Remarks,
    source: str,
    draft: str,
    heard: Sequence[str],
    *parts: str | int,
    hint: bool = False,
) -> Critique:
    """What works in a draft, what it misses most, and how it might go, unless a `hint` will do."""
    found = rubric.assess(source, draft, heard)
    best = max(found.parts, key=lambda name: found.parts[name] - rubric.thresholds[name] / 10)
    missing = _missing(rubric, remarks, found, source, draft)
    return Critique(
        works=choose(remarks.works[best], "works", *parts) if found.parts[best] > 0.5 else _LITTLE_WORKS,
        missing=missing,
        suggestion=missing if hint else remarks.suggest(source, *parts),
    )


def _missing(rubric: Rubric, remarks: Remarks, found: Assessment, source: str, draft: str) -> str:
    short = {name: rubric.thresholds[name] - value for name, value in found.parts.items()}
    lacking = [name for name in sorted(short, key=lambda name: -short[name]) if short[name] > 0]
    if not lacking:
        return remarks.nothing_missing
    details = remarks.details(source, draft)
    return " ".join(remarks.missing[name].format(**details) for name in lacking[:2])
