"""Choosing the two texts that the critic compares."""

from collections.abc import Sequence
from itertools import combinations

from ...core.text import fold
from ...evaluation.text_metrics import length_ratio, ngram_edit_distance
from ...store import Turn


def valid_drafts(drafts: Sequence[Turn]) -> list[Turn]:
    """The drafts that passed the task's gates, one of each text."""
    seen: dict[str, Turn] = {}
    for draft in drafts:
        if draft.note is None:
            seen.setdefault(fold(draft.content), draft)
    return list(seen.values())


def most_different_pair(texts: Sequence[Turn], ratio_range: tuple[float, float]) -> tuple[Turn, Turn] | None:
    """The pair with the largest n-gram edit distance among those of similar length.

    Pairs outside the length filter could never become a preference, so no verdict is spent on them.
    """
    low, high = ratio_range
    pairs = [
        (first, second)
        for first, second in combinations(texts, 2)
        if low <= length_ratio(first.content, second.content) <= high
        and low <= length_ratio(second.content, first.content) <= high
    ]
    if not pairs:
        return None
    return max(pairs, key=lambda pair: ngram_edit_distance(pair[0].content, pair[1].content))
