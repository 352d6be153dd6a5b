"""What changed between two texts, word by word, for people to look at."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import regex
from rapidfuzz.distance import Indel

from .text import WORD

_TOKEN = regex.compile(rf"\s+|{WORD}|\X", regex.VERSION1)
_MOST_CELLS = 100_000_000
"""Tokens of the one text times tokens of the other up to which they are compared: about a tenth of a second."""

DiffKind = Literal["same", "removed", "added"]


class DiffPiece(NamedTuple):
    """A passage that both texts share, or that only one of them has. Never empty."""

    text: str
    kind: DiffKind


def word_diff(before: str, after: str) -> list[DiffPiece]:
    """The passages that lead from one text to another.

    What is `same` or `removed` makes up `before`, what is `same` or `added` makes up `after`, character by character.
    Of a change what was removed comes first. Words (letters, where a script has no spaces), spaces and punctuation
    marks are whole; spaces alone do not interrupt a change. Of texts too long to be compared, all between their common
    beginning and end counts as changed.
    """
    left, right = ([token.group() for token in _TOKEN.finditer(text)] for text in (before, after))
    return list(_pieces(_through_spaces(_changes(left, right))))


Change = tuple[str, str, str]
"""What was removed, what was added, and the shared text that follows."""


def _changes(left: list[str], right: list[str]) -> Iterable[Change]:
    head = _common(left, right)
    tail = _common(left[head:][::-1], right[head:][::-1])
    yield "", "", "".join(left[:head])
    middle = left[head : len(left) - tail], right[head : len(right) - tail]
    if len(middle[0]) * len(middle[1]) > _MOST_CELLS:
        yield "".join(middle[0]), "".join(middle[1]), ""
    else:
        removed = added = ""
        for step in Indel.opcodes(*middle):
            taken, given = middle[0][step.src_start : step.src_end], middle[1][step.dest_start : step.dest_end]
            if step.tag == "equal":
                yield removed, added, "".join(taken)
                removed = added = ""
            else:
                removed += "".join(taken)
                added += "".join(given)
        yield removed, added, ""
    yield "", "", "".join(left[len(left) - tail :])


def _common(left: list[str], right: list[str]) -> int:
    """How many tokens both begin with."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def _through_spaces(changes: Iterable[Change]) -> Iterable[Change]:
    """The changes, those that only spaces lie between drawn together."""
    removed = added = same = ""
    for taken, given, shared in changes:
        if not (taken or given):
            same += shared
        elif (removed or added) and same.isspace():
            removed, added, same = removed + same + taken, added + same + given, shared
        elif (removed or added) and not same:
            removed, added, same = removed + taken, added + given, shared
        else:
            yield removed, added, same
            removed, added, same = taken, given, shared
    yield removed, added, same


def _pieces(changes: Iterable[Change]) -> Iterable[DiffPiece]:
    for removed, added, same in changes:
        if removed:
            yield DiffPiece(removed, "removed")
        if added:
            yield DiffPiece(added, "added")
        if same:
            yield DiffPiece(same, "same")
