"""How a simulated teacher keeps to its share of good texts: what every skill's teacher does around its writing.

Whether a text is to be good is settled by a hash before a word is chosen; then it is drawn until it is.
"""

import math
from collections.abc import Callable

from ..core.text import fold
from .chance import uniform

_DRAWS = 40

Parts = tuple[str | int, ...]
"""What a draw of chance follows from."""


def write_texts(
    count: int,
    quality: float,
    key: str,
    write: Callable[[bool, Parts], str],
    suits: Callable[[bool, str], bool],
) -> list[str]:
    """Writes `count` different texts.

    Args:
        count: How many to write; the first ones do not depend on how many follow.
        quality: The share that shall be good, kept as evenly as it can be from the first to the last.
        key: What everything follows from.
        write: A try at a text that is to be good, or is not.
        suits: Whether a try is what it was to be. Where none of many tries is, and unlike all before it, one that is
            what it was to be may stand twice, and if there is none of those either, any stands.
    """
    written: list[str] = []
    for place in range(count):
        good = _is_good(quality, key, place)
        taken = {fold(text) for text in written}
        second_best = ""
        for draw in range(_DRAWS):
            text = write(good, (key, place, draw))
            suitable = suits(good, text)
            if suitable and fold(text) not in taken:
                break
            second_best = text if suitable or not second_best else second_best
        else:
            text = second_best
        written.append(text)
    return written


def _is_good(quality: float, key: str, place: int) -> bool:
    """Systematic sampling: each place is good with probability `quality`, and any run of them has its share."""
    start = uniform(key, "quality")
    return math.floor(start + quality * (place + 1)) > math.floor(start + quality * place)
