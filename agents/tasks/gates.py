"""The gates: which outputs are no answer at all, whatever a critic would think of them. Pure functions of texts."""

from typing import Literal

from ...core.text import fold, length, words
from .task_file import Validity

Problem = Literal["cut off", "empty", "too short", "too long", "over-long", "repetition", "copy of the input"]
"""Why an output is no answer, in the words that the store and the reports use."""

REPETITION_FROM_WORDS = 8
"""In a shorter text a phrase said twice is a figure of speech, and its share of the 3-grams says little."""


def first_problem(text: str, source: str, validity: Validity, *, cut_off: bool = False) -> Problem | None:
    """The first gate that an output for `source` does not pass, in the order of `Problem`; None if it passes all.

    Args:
        text: The output, cleaned.
        source: The input it answers.
        validity: The task's rules.
        cut_off: Whether the output ended at the most tokens and not by itself.
    """
    if cut_off and validity.complete:
        return "cut off"
    count = length(text)
    if count < validity.min_words:
        return "too short" if count else "empty"
    if count > validity.max_words:
        return "too long"
    if validity.max_length_ratio is not None and count > validity.max_length_ratio * length(source):
        return "over-long"
    if repetition(text) > validity.max_repetition:
        return "repetition"
    return "copy of the input" if fold(text) == fold(source) else None


def repetition(text: str) -> float:
    """The share of a text's word 3-grams that repeat an earlier one, in [0, 1); 0 for a text of fewer than 8 words.

    Letters of a script without spaces are words here, as in `core.text.words`.
    """
    said = words(text)
    if len(said) < REPETITION_FROM_WORDS:
        return 0.0
    grams = list(zip(said, said[1:], said[2:], strict=False))
    return 1 - len(set(grams)) / len(grams)
