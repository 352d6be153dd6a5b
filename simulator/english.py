"""Just enough English for all skills, without a language library: function words, words but for their endings, loops.

Heuristics: they know common words and endings alone.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ..core.text import fold, words
from .word_lists import as_lists, read_words

FUNCTION_WORDS = frozenset(as_lists(read_words(Path(__file__).with_name("english.yaml")))["function_words"])
"""Words (in lower case) that say nothing about what a sentence is about."""


def stem(word: str) -> str:
    """A word without its most common endings: equal for `coin` and `coins`, `reject` and `rejected`."""
    word = word.removesuffix("'s").removesuffix("’s")
    for suffix in ("ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "y", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_stems(text: str) -> list[str]:
    """The stems of a text's content words, in order; of all its words where it has no content word."""
    found = words(text)
    return [stem(word) for word in found if word not in FUNCTION_WORDS] or [stem(word) for word in found]


def is_function_word(word: str) -> bool:
    """Whether a word (in lower case) says nothing about what a sentence is about."""
    return word in FUNCTION_WORDS


def fold_all(phrases: Sequence[str]) -> tuple[str, ...]:
    """Each phrase folded, for lists that folded texts are searched for."""
    return tuple(fold(phrase) for phrase in phrases)


def repetition(said: list[str], given: list[str]) -> float:
    """How degenerate a text is, from 0 to 1: its share of word triples (pairs, in a short text) said more than once."""
    size = 3 if len(said) > 6 else 2
    grams = Counter(tuple(said[index : index + size]) for index in range(len(said) - size + 1))
    source = Counter(tuple(given[index : index + size]) for index in range(len(given) - size + 1))
    again = sum(count - 1 for gram, count in grams.items() if count > 1 and count > source[gram])
    immediate = sum(one == two for one, two in pairwise(said))
    natural = sum(one == two for one, two in pairwise(given))
    excess = 3 * again + 2 * max(0, immediate - natural)
    return min(1.0, excess / len(said))
