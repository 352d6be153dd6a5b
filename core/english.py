"""Just enough English to tell what a text is about, without a language library: function words, words but for endings.

Heuristics: they know common words and endings alone. Of another language's text all words count as content words.
"""

from pathlib import Path

from .text import words

FUNCTION_WORDS = frozenset(Path(__file__).with_name("english_function_words.txt").read_text(encoding="utf-8").split())
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
