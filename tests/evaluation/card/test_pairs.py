import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmic.core.errors import ConfigError, InputError
from openmic.evaluation.card.pairs import Columns, LabelledPair, majority, read_pairs

ROWS: list[dict[str, Any]] = [
    {"input": "The bus was late.", "first": "It hired a lawyer.", "second": "It was late.", "label": 1, "margin": 0.8},
    {"input": "公交车走了。", "first": "", "second": "😀", "label": 2, "margin": 0.2},
    {"input": "", "first": "a" * 100_000, "second": "b", "label": 0, "margin": None},
]


def as_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(rows[0]), *(",".join("" if v is None else f'"{v}"' for v in row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("p.csv", as_csv), ("p.jsonl", as_jsonl), ("p.parquet", as_parquet)],
    ids=["csv", "jsonl", "parquet"],
)
def test_pairs_are_read_alike_from_every_kind_of_file(
    name: str, write: Callable[[Path, list[dict[str, Any]]], None], tmp_path: Path
) -> None:
    write(tmp_path / name, ROWS)
    found = read_pairs(tmp_path / name)
    assert [pair.outcome for pair in found.pairs] == ["win", "loss", "tie"]
    assert [pair.source for pair in found.pairs] == ["The bus was late.", "公交车走了。", ""]
    assert [pair.margin for pair in found.pairs] == [0.8, 0.2, None]
    assert [pair.second for pair in found.pairs] == ["It was late.", "😀", "b"]
    assert (found.unlabelled, found.alike, found.twice) == (0, 0, 0)


def rows(*labels: Any, **more: Any) -> list[Mapping[str, Any]]:
    return [{"first": f"one {place}", "second": "other", "label": label, **more} for place, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("label", "outcome"),
    [(1, "win"), ("1", "win"), (" 2 ", "loss"), (2.0, "loss"), ("0.0", "tie"), (0, "tie")],
)
def test_a_label_is_what_it_says_however_its_file_writes_it(label: Any, outcome: str) -> None:
    assert read_pairs(rows(label)).pairs[0].outcome == outcome


@pytest.mark.parametrize("label", [3, -1, "first", True, 0.5, "1.5", [1], {}])
def test_any_other_label_is_refused_by_its_place(label: Any) -> None:
    with pytest.raises(InputError, match=r"pairs, item 2: 'label' is .*; a label is 1 \(the first is better\), 2"):
        read_pairs(rows(1, label))


@pytest.mark.parametrize("label", [None, "", "  ", float("nan")])
def test_a_row_without_a_label_is_left_out_and_counted(label: Any) -> None:
    found = read_pairs(rows(1, label))
    assert (len(found.pairs), found.unlabelled) == (1, 1)


def test_several_people_have_a_column_each_and_need_not_all_have_labelled() -> None:
    given = [
        {"first": "a", "second": "b", "ann": 1, "bob": 2, "cem": "1"},
        {"first": "c", "second": "d", "ann": 2, "bob": "", "cem": None},
    ]
    found = read_pairs(given, Columns(labels=("ann", "bob", "cem")))
    assert [dict(pair.votes) for pair in found.pairs] == [{"ann": "win", "bob": "loss", "cem": "win"}, {"ann": "loss"}]
    assert [pair.outcome for pair in found.pairs] == ["win", "loss"]
    assert majority([]) == majority(["win", "loss"]) == majority(["tie", "win", "loss"]) == "tie"
    assert majority(["tie", "tie", "win"]) == "win"


def test_pairs_that_are_swapped_and_empty_texts_are_counted() -> None:
    rows = [("a", "b"), ("b", "a"), ("", "b"), ("  ", "c")]
    found = read_pairs([{"first": first, "second": second, "label": 1} for first, second in rows])
    assert (len(found.pairs), found.twice, found.empty) == (4, 1, 2)


def test_texts_that_are_alike_say_nothing_and_pairs_that_stand_twice_are_counted() -> None:
    same: dict[str, Any] = {"first": "a", "second": "a", "label": 1}
    found = read_pairs([same, *rows(1), *rows(1)])
    assert (len(found.pairs), found.alike, found.twice) == (2, 1, 1)
    with pytest.raises(InputError, match="no pair to look at: 0 were labelled by nobody, 1 have the same text twice"):
        read_pairs([same])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"first": "a", "label": 1}, "item 1: there is no 'second', only 'first', 'label'"),
        ({"first": 3, "second": "b", "label": 1}, "item 1: 'first' is 3; give a text"),
        ({"first": None, "second": "b", "label": 1}, "item 1: 'first' is None; give a text"),
        ({"first": "a\0", "second": "b", "label": 1}, "NUL"),
        ({"first": "a", "second": "b", "label": 1, "margin": "far"}, "'margin' is 'far'; a margin is a finite number"),
        ({"first": "a", "second": "b", "label": 1, "margin": float("inf")}, "a margin is a finite number"),
        ("a text", "item 1: it is a str; give a mapping"),
    ],
)
def test_a_row_that_is_no_pair_is_named(row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs([row])


def test_of_many_bad_rows_the_first_are_named_and_the_others_counted() -> None:
    with pytest.raises(InputError, match=r"item 1: .*item 3: .*\(and 7 more rows\)"):
        read_pairs(rows(*"abcdefghij"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give it labelled pairs"),
        ("first,second,label\n", "there is no pair to look at"),
        ("first,second\na,b\n", "no column 'label'; the columns are"),
        ("first,second,label,label\na,b,1,2\n", "two columns are called 'label'"),
    ],
)
def test_a_file_without_pairs_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(path)


def test_no_file_and_no_list_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file of labelled pairs"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"labelled pairs are read from .*, not from '.xlsx'"):
        read_pairs(tmp_path / "none.xlsx")
    with pytest.raises(ConfigError, match="give a list, each of them a mapping with first, second and label"):
        read_pairs({"first": "a"})  # type: ignore[dict-item]  # what a person might give


def test_columns_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    as_parquet(path, [{"a": "x", "b": "y", "who": 2, "of": "z", "by": -0.5}])
    [pair] = read_pairs(path, Columns("a", "b", ("who",), "of", "by")).pairs
    assert pair == LabelledPair("row 1", "z", "x", "y", {"who": "loss"}, 0.5)
