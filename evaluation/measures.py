"""Scorers that count: no model, no key, the same everywhere. Each takes an input and its outputs, a score for each."""

from collections import Counter
from collections.abc import Sequence

from ..core.english import content_stems, stem
from ..core.records import Input, input_words
from ..core.text import length as length_of
from ..core.text import words
from . import text_metrics


def length(_source: Input, outputs: Sequence[str]) -> list[float]:
    """Words of each output; letters where its script has no spaces between words."""
    return [float(length_of(output)) for output in outputs]


def length_ratio(source: Input, outputs: Sequence[str]) -> list[float]:
    """Words of each output over words of the input, all its fields together."""
    text = input_words(source)
    return [text_metrics.length_ratio(output, text) for output in outputs]


def distinct_2(_source: Input, outputs: Sequence[str]) -> list[float]:
    """Distinct pairs of words over all pairs within each output (Li et al. 2016), in [0, 1]: 1 repeats nothing."""
    return [text_metrics.distinct_n([output]) for output in outputs]


def faithfulness(source: Input, outputs: Sequence[str]) -> list[float]:
    """Share of the input's content words that each output says too, in [0, 1]; 1 for an input without words.

    A word counts as often as the input says it; endings do not matter (`core.english`). It sees what an output leaves
    out, and neither what it makes up nor what it says in other words.
    """
    wanted = Counter(content_stems(input_words(source)))
    if not wanted:
        return [1.0] * len(outputs)
    said = [Counter(stem(word) for word in words(output)) for output in outputs]
    return [(wanted & found).total() / wanted.total() for found in said]
