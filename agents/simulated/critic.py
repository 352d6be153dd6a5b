"""The critic and the judge: which of two texts is better, and what a draft lacks.

Both are worked out from the rubric of the model that is asked; the teacher, where it is asked, has the critic's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.text import words
from .chance import choose, happens
from .devices import joke
from .english import content_stems, read_sentence, stem
from .profiles import RUBRICS
from .rubric import PARTS, Assessment, Rubric
from .settings import SimulatorSettings

NEEDS_TAGS = (
    "I can only judge texts that are given to me in <sentence>, <first> and <second>, or <sentence> and <draft>."
)

_SURE = 0.999
"""No verdict is surer than this, as label probabilities are read from a softmax."""
_FIRST_REGARDLESS = 0.95
"""The probability that the first text gets where it wins for its position."""

_WORKS = {
    "device": ("The comic turn works.", "There is a real joke in it.", "It has a comic idea."),
    "meaning": ("It keeps what the sentence says.", "The meaning is all there.", "It stays true to the sentence."),
    "brevity": ("It is short.", "It does not outstay its welcome.", "The length is right."),
    "original": ("It adds something of its own.", "It is more than a copy.", "It goes beyond the sentence."),
    "fresh": ("The ending is not worn out.", "I have not heard this ending before.", "The last words are fresh."),
}
_MISSING = {
    "device": "It states the facts without a comic device: no exaggeration, comparison or turn.",
    "meaning": "It loses what the sentence says; {lost} should still be there.",
    "brevity": "It rambles: at {length} words the joke is buried.",
    "original": "It repeats the sentence and adds next to nothing.",
    "fresh": "The ending is stale or says the same thing over and over.",
}
_NOTHING_MISSING = "Nothing is missing; only the last words could be sharper."


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


def rubric_of(model: str) -> Rubric:
    """The rubric that a model judges by."""
    return RUBRICS.get(model, RUBRICS["sim-critic"])


def first_preferred(
    rubric: Rubric,
    sentence: str,
    first: str,
    second: str,
    heard: Sequence[str],
    settings: SimulatorSettings,
    key: str,
) -> float:
    """The probability that the first text is better, with whatever biases and faults the settings ask for."""
    gap = rubric.assess(sentence, first, heard).score - rubric.assess(sentence, second, heard).score
    longer = math.log((len(words(first)) + 1) / (len(words(second)) + 1))
    p = 1 / (1 + math.exp(-max(-50.0, min(50.0, rubric.sharpness * gap + settings.prefer_long * longer))))
    if happens(settings.flip_rate, key, "flip"):
        p = 1 - p
    if happens(settings.prefer_first, key, "prefer first"):
        p = max(p, _FIRST_REGARDLESS)
    return min(_SURE, max(1 - _SURE, p))


def critique(rubric: Rubric, sentence: str, draft: str, heard: Sequence[str], *parts: str | int) -> Critique:
    """What works in a draft, what it misses most, and how it might go instead."""
    found = rubric.assess(sentence, draft, heard)
    best = max(PARTS, key=lambda name: found.parts[name] - rubric.thresholds[name] / 10)
    works = choose(_WORKS[best], "works", *parts) if found.parts[best] > 0.5 else "Little works so far."
    return Critique(
        works=works, missing=_missing(rubric, found, sentence, draft), suggestion=_suggest(sentence, *parts)
    )


def _missing(rubric: Rubric, found: Assessment, sentence: str, draft: str) -> str:
    short = {name: rubric.thresholds[name] - found.parts[name] for name in PARTS}
    lacking = [name for name in sorted(PARTS, key=lambda name: -short[name]) if short[name] > 0]
    if not lacking:
        return _NOTHING_MISSING
    said = {stem(word) for word in words(draft)}
    wanted = set(content_stems(sentence))
    lost = [repr(word) for word in words(sentence) if stem(word) in wanted - said]
    values = {"lost": " and ".join(lost[:3]), "length": str(len(words(draft)))}
    return " ".join(_MISSING[name].format(**values) for name in lacking[:2])


def _suggest(sentence: str, *parts: str | int) -> str:
    return joke(read_sentence(sentence), "suggestion", *parts)
