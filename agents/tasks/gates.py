"""The gates: which outputs are no answer at all, whatever a critic would think of them. Pure functions of texts."""

from collections.abc import Mapping

from ...core.records import Input, input_text
from ...core.text import fold, length, words
from .phrases import refuses
from .task_file import Validity

CUT_OFF = "cut off"
EMPTY = "empty"
TOO_SHORT = "too short"
TOO_LONG = "too long"
OVER_LONG = "over-long"
REPETITION = "repetition"
COPY = "copy of the input"
REFUSAL = "refusal"

PROBLEMS = (CUT_OFF, EMPTY, TOO_SHORT, TOO_LONG, OVER_LONG, REPETITION, COPY, REFUSAL)
"""Why an output is no answer, in the words that the store and the reports use; a task's own gates have theirs."""

REPETITION_FROM_WORDS = 8
"""In a shorter text a phrase said twice is a figure of speech, and its share of the 3-grams says little."""


def first_problem(text: str, source: Input, validity: Validity, *, cut_off: bool = False) -> str | None:
    """First gate that an output for `source` fails, in the order of `PROBLEMS`; None if it passes all.

    Args:
        text: The output, cleaned.
        source: The input it answers. Of several fields the length is that of all together, and none may be copied.
        validity: The task's rules.
        cut_off: Whether the output ended at the most tokens and not by itself.
    """
    if cut_off and validity.complete:
        return CUT_OFF
    count, fields = length(text), list(source.values()) if isinstance(source, Mapping) else [source]
    ratio = validity.max_length_ratio
    if count < validity.min_words:
        return TOO_SHORT if count else EMPTY
    if count > validity.max_words or (ratio is not None and count > ratio * sum(map(length, fields))):
        return TOO_LONG if count > validity.max_words else OVER_LONG
    if repetition(text) > validity.max_repetition:
        return REPETITION
    if fold(text) in map(fold, [input_text(source), " ".join(fields), *fields]):
        return COPY
    # "I can't help you move on Sunday." may be what is to be retold.
    declines = refuses(text, validity.refusals)
    return REFUSAL if declines and not any(refuses(field, validity.refusals) for field in fields) else None


def repetition(text: str) -> float:
    """Share of a text's word 3-grams that repeat an earlier one, in [0, 1); 0 below 8 words.

    Letters of a script without spaces are words here, as in `core.text.words`.
    """
    said = words(text)
    if len(said) < REPETITION_FROM_WORDS:
        return 0.0
    grams = list(zip(said, said[1:], said[2:], strict=False))
    return 1 - len(set(grams)) / len(grams)
