"""Rubric of plain language: six parts, each from 0 to 1, and a score drawn from them.

| part | 1 means |
|---|---|
| plain | no officialese is left |
| short | its sentences are short |
| facts | figures, negations and what the notice is about are all there |
| brief | it is hardly longer than the notice |
| own | as much was changed as there was to change |
| direct | it neither talks down to its readers nor repeats itself |

The rubric looks at words alone. It is a known standard to measure learning against, not a theory of plain language.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...core.text import words
from ..chance import normal
from ..repetition import repetition
from ..skill import Assessment
from .facts import kept
from .lexicon import Lexicon
from .rewriting import sentences

PARTS = ("plain", "short", "facts", "brief", "own", "direct")

_LEAST_JARGON = 4
"""Words of officialese that count as all there is to have left, where a notice has fewer."""
_MOST_CHANGES = 4
"""Words that are change enough."""
_SHORT, _LONG = 22, 44
"""Words up to which a sentence is short, and from which on it is nothing but long."""


@dataclass(frozen=True)
class PlainRubric:
    """One judge's standard. Pure: the same texts always get the same assessment."""

    name: str
    weights: Mapping[str, float]
    """How much each part counts; they add up to 1."""
    thresholds: Mapping[str, float]
    """What each part must reach."""
    lexicon: Lexicon
    """What it takes for officialese."""
    fillers: tuple[str, ...]
    """Folded phrases that talk down to a reader."""
    sharpness: float
    """How steeply a difference in score turns into a preference."""
    noise_sd: float = 0.0
    """Standard deviation of a disturbance of the score that is fixed for each pair of texts."""

    def assess(self, source: str, text: str, heard: Sequence[str] = ()) -> Assessment:
        """Judges `text` as a plain version of `source`; endings heard before do not matter to it."""
        said, given = words(text), words(source)
        if not said:
            return Assessment(score=0.0, parts=dict.fromkeys(PARTS, 0.0), meets=False)
        hits = list(self.lexicon.find(given))
        jargon = sum(hit.end - hit.start for hit in hits)
        parts = {
            "plain": max(0.0, 1 - self.officialese(said) / max(_LEAST_JARGON, jargon)),
            "short": _short(text),
            "facts": _facts(source, text),
            "brief": _brief(len(said), len(given)),
            "own": _own(said, given, len(hits)),
            "direct": self._direct(said, given),
        }
        # Plain, short words are worth no more than what they still say of the notice.
        score = sum(
            self.weights[name] * value * (1.0 if name == "facts" else parts["facts"]) for name, value in parts.items()
        )
        score *= 1 - repetition(said, given)
        if self.noise_sd:
            score += self.noise_sd * normal(self.name, source, text)
        return Assessment(
            score=min(1.0, max(0.0, score)),
            parts=parts,
            meets=all(value >= self.thresholds[name] for name, value in parts.items()),
        )

    def officialese(self, said: Sequence[str]) -> int:
        """How many of these words (in lower case) are officialese."""
        return sum(hit.end - hit.start for hit in self.lexicon.find(said))

    def _direct(self, said: list[str], given: list[str]) -> float:
        folded, source = " ".join(said), " ".join(given)
        if any(filler in folded and filler not in source for filler in self.fillers):
            return 0.1
        return 1 - repetition(said, given)


def _short(text: str) -> float:
    """The mean over words of how short their sentence is."""
    lengths = [len(words(sentence)) for sentence in sentences(" ".join(text.split()))]
    shortness = [min(1.0, max(0.0, (_LONG - length) / (_LONG - _SHORT))) for length in lengths]
    return sum(length * short for length, short in zip(lengths, shortness, strict=True)) / sum(lengths)


def _facts(source: str, text: str) -> float:
    """Share of the content that is kept; a lost figure or negation costs a third at least."""
    found = kept(source, text)
    figures = 1.0 if found.figures == 1 else 0.25 + 0.4 * found.figures
    negations = 1.0 if found.negations == 1 else 0.25 + 0.4 * found.negations
    return found.matters * figures * negations


def _brief(said: int, given: int) -> float:
    """Score of brevity: 1 up to 1.2 times the notice's length, 0 from 2 times on. A short notice has an allowance."""
    full, none = max(1.2 * given, given + 4.0), max(2.0 * given, given + 14.0)
    return min(1.0, max(0.0, (none - said) / (none - full)))


def _own(said: list[str], given: list[str], phrases: int) -> float:
    """How much was changed, by a word for each phrase of officialese; a notice that was plain already may stand."""
    wanted = min(_MOST_CHANGES, phrases)
    new, gone = Counter(said) - Counter(given), Counter(given) - Counter(said)
    return min(1.0, max(new.total(), gone.total()) / wanted) if wanted else 1.0
