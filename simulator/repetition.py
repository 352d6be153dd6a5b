"""How much a text says over and over, which no skill's rubric likes."""

from collections import Counter
from itertools import pairwise


def repetition(said: list[str], given: list[str]) -> float:
    """Repetition of a text, from 0 to 1: share of word triples (pairs, if short) said more than once."""
    size = 3 if len(said) > 6 else 2
    grams = Counter(tuple(said[index : index + size]) for index in range(len(said) - size + 1))
    source = Counter(tuple(given[index : index + size]) for index in range(len(given) - size + 1))
    again = sum(count - 1 for gram, count in grams.items() if count > 1 and count > source[gram])
    immediate = sum(one == two for one, two in pairwise(said))
    natural = sum(one == two for one, two in pairwise(given))
    excess = 3 * again + 2 * max(0, immediate - natural)
    return min(1.0, excess / len(said))
