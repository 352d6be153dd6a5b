"""The teacher: plain versions of any text, of which a known share is good.

A good one says the officialese plainly, keeps the facts and meets the critic's rubric. All others have a definite flaw
and do not meet it.
"""

import re
from collections.abc import Callable, Sequence

from ...core.text import words
from ..chance import choose, happens, uniform
from ..teaching import Parts, write_texts
from .lexicon import OFFICIALESE
from .padding import EXPLANATIONS, PATRONISING, PATRONISING_CLOSINGS
from .profiles import RUBRICS
from .rewriting import rewrite, sentences
from .turns import turn

_LEFT_OFTEN = 0.3
"""How often a good text leaves one phrase of officialese as it was."""
_LEAST_FOUND = 3
"""Phrases of officialese from beyond which one may be left."""
_TOO_LONG = 2.2
"""Words of a rambling text for each word of its source."""
_LONG_SOURCE = 32
"""Words from beyond which a source makes one sentence that is too long."""
_FIGURE = re.compile(r"[$£€]?\d+(?:[.,:]\d+)*")
_VAGUE = ("some", "a few", "so many", "several")
_TURNED_ROUND = (
    (re.compile(r"\b(?:cannot|can't)\b", re.I), "can"),
    (re.compile(r"\b(is|are|was|were|do|does|did|will|must|should|may|has|have)(?: not|n't)\b", re.I), r"\1"),
    (re.compile(r"\bwon't\b", re.I), "will"),
    (re.compile(r"\bwithout\b", re.I), "with"),
    (re.compile(r"\bunless\b", re.I), "if"),
    (re.compile(r"\bbanned from\b", re.I), "free to go on"),
    (re.compile(r"\b(?:never|not) ", re.I), ""),
    (re.compile(r"\bno (?=\w)", re.I), "a "),
)


def demonstrate(source: str, count: int, quality: float, heard: Sequence[str], key: str) -> list[str]:
    """Writes `count` different plain versions.

    Args:
        source: The notice, any text with a word in it.
        count: How many to write; the first ones do not depend on how many follow.
        quality: The share that shall meet the critic's rubric, kept as evenly as it can be from the first to the last.
        heard: Endings that were heard too often; plain words wear no ending out.
        key: The hash of the request, which settles everything.
    """
    critic = RUBRICS["sim-critic"]

    def write(good: bool, parts: Parts) -> str:
        return plain_version(source, *parts) if good else flawed(source, *parts)

    return write_texts(count, quality, key, write, lambda good, text: critic.assess(source, text).meets == good)


def plain_version(source: str, *parts: str | int) -> str:
    """The source in plain words; which of them follows from `parts`."""
    keep = []
    if happens(_LEFT_OFTEN, "leave", *parts):
        found = [hit.entry for hit in OFFICIALESE.find(words(source))]
        keep = [choose(found, "left", *parts)] if len(found) > _LEAST_FOUND else []
    text = rewrite(source, *parts, keep=keep, address=happens(0.7, "you", *parts))
    return " ".join(turn(sentence, place, *parts) for place, sentence in enumerate(sentences(text)))


def flawed(source: str, *parts: str | int) -> str:
    """A version with a flaw."""
    flaws = _FLAWS if len(words(source)) > _LONG_SOURCE else _FLAWS[:-1]
    return choose(flaws, "flaw", *parts)(source, *parts)


def _stiff(source: str, *parts: str | int) -> str:
    """Most of the officialese is left in."""
    found = [hit.entry for hit in OFFICIALESE.find(words(source))]
    share = 0.6 + 0.4 * uniform("stiff", *parts)
    keep = {entry for place, entry in enumerate(found) if happens(share, "stiff", place, *parts)}
    return rewrite(source, *parts, keep=keep, address=False)


def _loose(source: str, *parts: str | int) -> str:
    """A figure is gone, or a no; where there is neither, the end."""
    text = plain_version(source, *parts)
    figures = [match.span() for match in _FIGURE.finditer(text)]
    turned = [pattern.sub(said, text, count=1) for pattern, said in _TURNED_ROUND if pattern.search(text)]
    if figures and (not turned or happens(0.6, "figure", *parts)):
        start, end = choose(figures, "which figure", *parts)
        return f"{text[:start]}{choose(_VAGUE, 'vague', *parts)}{text[end:]}"
    if turned:
        return turned[0]
    said = text.split()
    return " ".join(said[: max(1, len(said) * 5 // 9)]).rstrip(",;:.") + "."


def _copied(source: str, *parts: str | int) -> str:
    """The source as it is, or all but."""
    text = " ".join(source.split())
    return text if happens(0.7, "as it is", *parts) else f"In other words: {text}"


def _rambling(source: str, *parts: str | int) -> str:
    """A good version that goes on to explain."""
    text = plain_version(source, *parts)
    longest = max(len(words(source)) * _TOO_LONG, len(words(source)) + 16)
    start = int(uniform("explain", *parts) * len(EXPLANATIONS))
    step = 0
    while len(words(text)) < longest:
        text = f"{text} {EXPLANATIONS[(start + step) % len(EXPLANATIONS)]}"
        step += 1
    return text


def _patronising(source: str, *parts: str | int) -> str:
    """A good version that talks down to its readers."""
    text = plain_version(source, *parts)
    if happens(0.5, "opening", *parts):
        return f"{choose(PATRONISING, 'opening words', *parts)} {text}"
    return f"{text} {choose(PATRONISING_CLOSINGS, 'closing words', *parts)}"


def _breathless(source: str, *parts: str | int) -> str:
    """All in one sentence."""
    text = rewrite(source, *parts, split=False)
    joined = [re.sub(r"[.!?;]+$", "", sentence) for sentence in sentences(text)]
    return " and besides that ".join(joined) + "."


_FLAWS: tuple[Callable[..., str], ...] = (_stiff, _loose, _copied, _rambling, _patronising, _breathless)
"""The last one is a flaw of long sources alone."""
