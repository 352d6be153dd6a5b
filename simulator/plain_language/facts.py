"""What a notice says that its plain version must still say: figures, negations, and what it is about."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from ...core.english import FUNCTION_WORDS, stem
from ...core.text import words
from .lexicon import NEGATIONS, OFFICIALESE
from .rewriting import AUDIENCE

_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
_FROM_TWO = """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty
"""
_COUNTED = {word: str(number) for number, word in enumerate(_FROM_TWO.split(), start=2)}
_READERS = frozenset(stem(word) for word in AUDIENCE)
_TO_READERS = frozenset({"you", stem("your"), "pleas"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source says."""

    figures: Counter[str]
    """Numbers in digits, those in words up to twenty included: dates, sums, times, terms."""
    negations: int
    """How often it says no."""
    matters: tuple[frozenset[str], ...]
    """What it is about, in order: for each matter the stems of which one is enough to keep it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Shares of its source that a text keeps, from 0 to 1; 1 where there is nothing to keep."""

    figures: float
    negations: float
    matters: float


@lru_cache(maxsize=4096)
def facts_of(source: str) -> Facts:
    """The facts of a source, any text at all."""
    said = words(source)
    matters: list[frozenset[str]] = []
    negations, place = 0, 0
    for hit in [*OFFICIALESE.find(said), None]:
        end = len(said) if hit is None else hit.start
        negations += sum(word in NEGATIONS for word in said[place:end])
        matters += [_matter(word) for word in said[place:end] if _counts(word)]
        if hit is not None:
            negations += hit.entry.negates
            matters += [hit.entry.keepers] if hit.entry.keepers else []
            place = hit.end
    return Facts(figures_in(source), negations, tuple(matters))


def kept(source: str, text: str) -> Kept:
    """What `text` keeps of what `source` says."""
    facts, said = facts_of(source), words(text)
    stems = {stem(word) for word in said}
    figures, wanted = figures_in(text), facts.figures.total()
    # A text may say no in plain words as well as in the words of the source.
    negations = max(facts_of(text).negations, sum(word in NEGATIONS for word in said))
    return Kept(
        figures=(facts.figures & figures).total() / wanted if wanted else 1.0,
        negations=min(1.0, negations / facts.negations) if facts.negations else 1.0,
        matters=sum(bool(matter & stems) for matter in facts.matters) / len(facts.matters) if facts.matters else 1.0,
    )


def figures_in(text: str) -> Counter[str]:
    """The numbers of a text, each as often as it says it."""
    return Counter([*_FIGURE.findall(text), *(_COUNTED[word] for word in words(text) if word in _COUNTED)])


def lost(source: str, text: str) -> list[str]:
    """What a text loses of its source, in the source's words: figures first, then content words."""
    stems = {stem(word) for word in words(text)}
    figures = list(facts_of(source).figures - figures_in(text))
    gone = [word for word in words(source) if _counts(word) and not _matter(word) & stems]
    found = {word for hit in OFFICIALESE.find(words(source)) for word in hit.entry.phrase}
    return list(dict.fromkeys([*figures, *(word for word in gone if word not in found)]))


def _counts(word: str) -> bool:
    return word not in FUNCTION_WORDS and word not in _COUNTED and not word[0].isdigit() and word not in NEGATIONS


def _matter(word: str) -> frozenset[str]:
    found = stem(word)
    return frozenset({found}) | _TO_READERS if found in _READERS else frozenset({found})
