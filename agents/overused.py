"""Punch lines heard too often: what keeps a critic from rewarding one joke told a hundred times."""

from collections import Counter
from collections.abc import Iterable

from ..core.text import ending

OVERUSED = "overused ending"
"""Why a text is turned away that ends as too many do, in the words that the store and the reports use."""


def overused_endings(texts: Iterable[str], *, share: float = 0.02, at_least: int = 3, most: int = 30) -> list[str]:
    """The endings of more than `share` of the texts (and of at least `at_least`), the most frequent first."""
    endings = [found for text in texts if (found := ending(text))]
    often = [
        (count, found) for found, count in Counter(endings).items() if count >= max(at_least, share * len(endings))
    ]
    return [found for count, found in sorted(often, key=lambda pair: (-pair[0], pair[1]))][:most]
