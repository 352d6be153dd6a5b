"""Scorers that count: no model, no key, the same everywhere. Each takes an input and its outputs, a score for each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..core.english import content_stems, stem
from ..core.errors import ConfigError, InputError
from ..core.records import Input, input_words
from ..core.row_files import Reading, read_rows
from ..core.section import from_home
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


def distinct_1(_source: Input, outputs: Sequence[str]) -> list[float]:
    """Distinct words over all words within each output (Li et al. 2016), in [0, 1]: 1 repeats nothing."""
    return [text_metrics.distinct_n([output], 1) for output in outputs]


def distinct_2(_source: Input, outputs: Sequence[str]) -> list[float]:
    """Distinct pairs of words over all pairs within each output (Li et al. 2016), in [0, 1]: 1 repeats nothing."""
    return [text_metrics.distinct_n([output]) for output in outputs]


def copy(source: Input, outputs: Sequence[str]) -> list[float]:
    """1 where an output is the input again but for case, spacing and punctuation, else 0."""
    known = text_metrics.Known([input_words(source)])
    return [float(known.holds(output)) for output in outputs]


def copied(source: Input, outputs: Sequence[str]) -> list[float]:
    """Share of each output's word 4-grams that the input has, in [0, 1]."""
    known = text_metrics.Known([input_words(source)])
    return [known.overlap(output) for output in outputs]


class Novelty:
    """Share of each output's word 4-grams that none of the texts of a file has, in [0, 1].

    The file is what was trained on, such as a file of demonstrations. An output that is one of its texts scores 0.
    """

    name = "novelty"

    def __init__(self, path: str, field: str = "output") -> None:
        """Reads the texts of a file.

        Args:
            path: A .jsonl, .json, .csv, .tsv or .parquet file.
            field: The key or column of the texts; each a text, or a list of them.

        Raises:
            ConfigError: it cannot be read, or has none.
        """
        reading = Reading([field], "texts that were trained on", "path", "field")
        try:
            rows = read_rows(Path(from_home(path)), reading)
        except InputError as error:
            raise ConfigError(f"novelty: {error}") from None
        found = [row.values.get(field) for row in rows]
        texts = [text for value in found for text in (value if isinstance(value, list) else [value])]
        strange = [text for text in texts if not isinstance(text, str)]
        if strange or not texts:
            held = f"{strange[0]!r:.60}" if strange else "no text"
            raise ConfigError(f"novelty: {path} has {held} in {field!r}; give a text, or a list of them, in each row")
        self._known = text_metrics.Known(map(str, texts))

    def __call__(self, _source: Input, outputs: Sequence[str]) -> list[float]:
        """One score for each output."""
        return [0.0 if self._known.holds(output) else 1 - self._known.overlap(output) for output in outputs]


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
