"""Ids and metadata that stand beside inputs, and inputs that are long."""

import json
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import InputSettings
from openmic.core.errors import InputError
from openmic.core.inputs import read_inputs

ROWS: list[dict[str, Any]] = [
    {"input": f"The bus left at {n}.", "id": n, "place": "Ulm" if n % 2 else "", "tags": ["a", {"b": None}]}
    for n in range(40)
]


def read(path: Path, rows: list[dict[str, Any]], **settings: Any) -> Any:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_inputs(InputSettings(path=path, **settings)).examples


def test_ids_and_metadata_travel_with_their_input(tmp_path: Path) -> None:
    found = read(tmp_path / "i.jsonl", ROWS, id_field="id", metadata=["place", "tags", "nowhere"])
    assert [example.own_id for example in found] == [str(n) for n in range(40)]
    assert found[1].metadata == {"place": "Ulm", "tags": ["a", {"b": None}]}
    assert found[2].metadata == {"tags": ["a", {"b": None}]}
    plain = read(tmp_path / "i.jsonl", ROWS)
    assert (plain[0].own_id, plain[0].metadata, plain[0].id) == (None, {}, found[0].id), "an input is its words alone"


def test_what_json_does_not_know_becomes_its_text(tmp_path: Path) -> None:
    rows = [row | {"n": float("nan") if at else 1.5} for at, row in enumerate(ROWS)]
    found = read(tmp_path / "i.jsonl", rows, metadata=["n"])
    assert (found[0].metadata, found[1].metadata) == ({"n": 1.5}, {"n": "nan"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": 3}, "line 1: the same id as on line"),
        ({"id": None}, "no text or number under the key 'id'"),
        ({"id": "  "}, "no text or number under the key 'id'"),
        ({"id": True}, "no text or number under the key 'id'"),
        ({"id": [1]}, "no text or number under the key 'id'"),
        ({"id": 99, "place": "a\0b"}, "there is a NUL character"),
    ],
)
def test_an_id_that_cannot_be_one(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    rows = [*ROWS, ROWS[0] | {"input": "Another one."} | change]
    with pytest.raises(InputError) as refused:
        read(tmp_path / "i.jsonl", rows, id_field="id", metadata=["place"])
    assert told.replace("line 1: ", "line 41: ") in str(refused.value)


def test_a_file_of_lines_has_none(tmp_path: Path) -> None:
    path = tmp_path / "i.txt"
    path.write_text("\n".join(row["input"] for row in ROWS))
    with pytest.raises(InputError, match=r"a \.txt file holds one text on each line, without ids and metadata"):
        read_inputs(InputSettings(path=path, id_field="id"))


def test_a_column_of_ids_has_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "i.csv"
    path.write_text("input\n" + "\n".join(row["input"] for row in ROWS))
    with pytest.raises(InputError, match="no column 'id'"):
        read_inputs(InputSettings(path=path, id_field="id"))


def test_long_inputs_with_line_breaks_stay_as_they_are(tmp_path: Path) -> None:
    long = "Dear all,\n\n" + "it rains. " * 2000
    rows = [*ROWS, {"input": long, "id": "long"}]
    assert read(tmp_path / "i.jsonl", rows)[-1].text == long.strip()
    with pytest.raises(InputError, match=r"over inputs\.max_characters=500; split it"):
        read(tmp_path / "i.jsonl", rows, max_characters=500)
