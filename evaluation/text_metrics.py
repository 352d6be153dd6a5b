"""Numbers about texts: how long against their inputs, how varied among themselves, how far apart.

All are counted in words, or in letters where a text's script has no spaces between words (`core.text.words`).
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from ..core.text import length, words


def length_ratio(text: str, source: str) -> float:
    """Words of a text over words of what it is compared with; 0 for an empty text."""
    return length(text) / max(1, length(source))


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct n-grams over all n-grams of the texts (Li et al. 2016), in [0, 1]; 0 where there are none."""
    grams = [gram for text in texts for gram in ngrams(words(text), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def ngram_edit_distance(first: str, second: str, n: int = 2) -> float:
    """Edit distance between the texts' sequences of word n-grams over the longer one's length, in [0, 1].

    What "Small But Funny" (Ravi et al. 2024) picks the most different pair of candidates by.
    """
    a, b = ngrams(words(first), n), ngrams(words(second), n)
    return Levenshtein.distance(a, b) / max(len(a), len(b), 1)


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All n-grams in order; the whole sequence as one where it is shorter than n."""
    if 0 < len(tokens) < n:
        return [tuple(tokens)]
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
