"""Pairs of texts that people labelled, from a file or from rows given in Python."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import InputError
from ...core.records import Outcome
from ...core.row_files import FileRow, Reading, read_rows, rows_given, unstorable

LABELS: Mapping[str, Outcome] = {"1": "win", "2": "loss", "0": "tie"}
"""What a label says: the first is better, the second, or neither."""
_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two texts, and what people said of them."""

    place: str
    """As a person finds it: `line 3`."""
    source: str
    """The input that both answer; empty where the file has none."""
    first: str
    second: str
    votes: Mapping[str, Outcome]
    """How the first fared before each person who labelled it, by their column."""
    margin: float | None = None
    """How far apart people found the two, in whatever unit the file has; None where it does not say."""

    @property
    def outcome(self) -> Outcome:
        """What more people said, wins against losses; a tie where these are equal."""
        return majority(self.votes.values())


class Columns(NamedTuple):
    """What the columns are called. Those of inputs and margins may be missing where nobody named them."""

    first: str = "first"
    second: str = "second"
    labels: tuple[str, ...] = ("label",)
    """One for each person, or one for all."""
    source: str | None = None
    """None: `input`, where there is such a column."""
    margin: str | None = None
    """None: `margin`, where there is such a column."""


class LabelledPairs(NamedTuple):
    """What was read, and what of it is no use."""

    pairs: list[LabelledPair]
    unlabelled: int
    """Rows that nobody labelled."""
    alike: int
    """Rows whose two texts are the same."""
    twice: int
    """Pairs that stand there again with the same texts, in either order; they count each time."""
    empty: int = 0
    """Pairs one of whose texts is empty; they count."""


def read_pairs(given: str | Path | Iterable[Mapping[str, Any]], columns: Columns | None = None) -> LabelledPairs:
    """The labelled pairs of a file (.csv, .tsv, .jsonl, .json or .parquet), or of rows.

    A label is 1 where the first text is better, 2 where the second is, 0 where neither; an empty one was not given.

    Raises:
        InputError: the file cannot be read, lacks a column, or has texts or labels that are none; or no pair is left.
    """
    columns = columns or Columns()
    if isinstance(given, str | Path):
        name, rows = str(given), _rows(Path(given), columns)
    else:
        name = "pairs"
        wanted = "a mapping with first, second and label"
        rows = [FileRow(f"item {place}", row) for place, row in enumerate(rows_given(given, name, wanted), start=1)]
    pairs, problems = [], list[str]()
    unlabelled = alike = 0
    for row in rows:
        try:
            pair = _pair(row, columns)
        except InputError as error:
            problems.append(f"{row.place}: {error}")
            continue
        if not pair.votes:
            unlabelled += 1
        elif pair.first == pair.second:
            alike += 1
        else:
            pairs.append(pair)
    if problems:
        more = f" (and {len(problems) - _MOST_TOLD} more rows)" if len(problems) > _MOST_TOLD else ""
        raise InputError(f"{name}, {'; '.join(problems[:_MOST_TOLD])}{more}")
    if not pairs:
        left = f": {unlabelled} were labelled by nobody, {alike} have the same text twice" if rows else ""
        raise InputError(
            f"{name}: there is no pair to look at{left}; give rows with two texts and a label of 1, 2 or 0"
        )
    counts = Counter((pair.source, *sorted((pair.first, pair.second))) for pair in pairs)
    empty = sum(not pair.first.strip() or not pair.second.strip() for pair in pairs)
    return LabelledPairs(pairs, unlabelled, alike, counts.total() - len(counts), empty)


def majority(votes: Iterable[Outcome]) -> Outcome:
    """What more people said, wins against losses; a tie where these are equal."""
    counts = Counter(votes)
    if counts["win"] == counts["loss"]:
        return "tie"
    return "win" if counts["win"] > counts["loss"] else "loss"


def _rows(path: Path, columns: Columns) -> list[FileRow]:
    named = [name for name in (columns.source, columns.margin) if name is not None]
    reading = Reading(
        columns=[columns.first, columns.second, *columns.labels, *named],
        kind="labelled pairs",
        path_key="the path",
        columns_key="the columns' names with --first, --second, --label, --input and --margin",
        optional=("input", "margin"),
    )
    return read_rows(path, reading)


def _pair(row: FileRow, columns: Columns) -> LabelledPair:
    if not isinstance(row.values, Mapping):
        raise InputError(f"it is a {type(row.values).__name__}; give a mapping with first, second and label")
    votes = {name: vote for name in columns.labels if (vote := _vote(_value(row, name), name)) is not None}
    return LabelledPair(
        place=row.place,
        source=_source(row, columns.source),
        first=_text(_value(row, columns.first), columns.first),
        second=_text(_value(row, columns.second), columns.second),
        votes=votes,
        margin=_margin(row, columns.margin),
    )


def _value(row: FileRow, name: str) -> Any:
    if name not in row.values:
        raise InputError(f"there is no {name!r}, only {', '.join(map(repr, list(row.values)[:8]))}")
    return row.values[name]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name!r} is {_brief(value)}; give a text, an empty one where there is none")
    if spoilt := unstorable(value):
        raise InputError(f"{name!r}: {spoilt}")
    return value


def _source(row: FileRow, named: str | None) -> str:
    value = _value(row, named) if named is not None else row.values.get("input", "")
    return "" if _missing(value) else _text(value, named or "input")


def _vote(value: Any, name: str) -> Outcome | None:
    if _missing(value):
        return None
    label = value.strip() if isinstance(value, str) else value
    if isinstance(label, str) and label.endswith(".0"):
        label = label[:-2]  # as spreadsheets write a column of numbers with gaps
    elif isinstance(label, float) and label.is_integer():
        label = int(label)
    outcome = None if isinstance(label, bool) else LABELS.get(str(label))
    if outcome is None:
        raise InputError(
            f"{name!r} is {_brief(value)}; a label is 1 (the first is better), 2 (the second) or 0 (neither)"
        )
    return outcome


def _margin(row: FileRow, named: str | None) -> float | None:
    value: Any = _value(row, named) if named is not None else row.values.get("margin")
    if _missing(value):
        return None
    try:
        margin = math.nan if isinstance(value, bool) else abs(float(value))
    except (TypeError, ValueError, OverflowError):
        margin = math.nan
    if not math.isfinite(margin):
        raise InputError(f"{named or 'margin'!r} is {_brief(value)}; a margin is a finite number")
    return margin


def _missing(value: Any) -> bool:
    """Whether a cell is empty, in whatever way its file says so."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
