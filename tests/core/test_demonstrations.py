"""Demonstrations from a file: looked up by what an input says, and one line for what cannot be read."""

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from openmic.core.errors import InputError
from openmic.core.inputs import known_outputs, read_demonstrations
from openmic.core.records import Input

EXPECTED = {"the bus left": ("One.", "Two."), "a kettle": ("Three.",)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "d.jsonl",
            '{"input": "The bus left.", "output": ["One.", "Two."]}\n\n{"input": "A kettle.", "output": "Three."}\n',
        ),
        ("d.csv", "input,output\nThe bus left.,One.\nA kettle.,Three.\nThe bus left!,Two.\n"),
        ("d.csv", "output;input\nOne.;The bus left.\nTwo.;The bus left.\nThree.;A kettle.\n"),
        (
            "d.json",
            '[{"input": "The bus left.", "output": ["One.", "Two."]}, {"input": "A kettle.", "output": ["Three."]}]',
        ),
        ("d.tsv", "input\toutput\nThe bus left.\tOne.\nThe bus left.\tTwo.\nA kettle.\tThree.\n"),
    ],
)
def test_rows_of_one_input_add_up(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_demonstrations(tmp_path / name, "input", "output") == EXPECTED


def test_parquet_with_columns_of_other_names(tmp_path: Path) -> None:
    table = pyarrow.table({"q": ["The bus left.", "A kettle."], "a": [["One.", "Two."], ["Three."]]})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    assert read_demonstrations(tmp_path / "d.parquet", "q", "a") == EXPECTED


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", '{"text": "x"}', "d.jsonl, line 1: no text under 'input' (it has ['text']); set input_field"),
        ("d.jsonl", '{"input": "x"}', "d.jsonl, line 1: no text or list of texts under 'output'"),
        ("d.jsonl", '{"input": "x", "output": "y"}\n[1]', "line 2: a list where an object was expected"),
        ("d.jsonl", "{", "line 1, column 2: not valid JSON"),
        ("d.jsonl", "", "is empty; give it demonstrations"),
        ("d.csv", "input,output\n", "holds no demonstration"),
        ("d.jsonl", '{"input": "x", "output": "a\\u0000b"}', "line 1: there is a NUL character"),
        ("d.xlsx", "", "read from .jsonl, .json, .csv, .tsv or .parquet"),
        ("d.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        read_demonstrations(tmp_path / name, "input", "output")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file of demonstrations .*cast\.teacher\.demonstrations"):
        read_demonstrations(tmp_path / "none.csv", "input", "output")


def demonstrated(tmp_path: Path, input_field: str | list[str], value: Input, row: str) -> Sequence[str]:
    (tmp_path / "d.jsonl").write_text(row, encoding="utf-8")
    return known_outputs(read_demonstrations(tmp_path / "d.jsonl", input_field, "output"), value)


@pytest.mark.parametrize("input_field", ["input", ["input"]])
def test_an_input_of_one_text_is_found_however_its_field_is_named(tmp_path: Path, input_field: str | list[str]) -> None:
    row = '{"input": "The bus left.", "output": "One."}'
    assert demonstrated(tmp_path, input_field, "the bus left", row) == ("One.",)


@pytest.mark.parametrize("input_field", [["question", "context"], ["context", "question"]])
def test_an_input_of_several_fields_is_found_in_whatever_order_they_are_named(
    tmp_path: Path, input_field: list[str]
) -> None:
    row = '{"context": "It rains.", "question": "Why?", "output": "One."}'
    for value in ({"question": "Why?", "context": "It rains."}, {"context": "it rains", "question": " why "}):
        assert demonstrated(tmp_path, input_field, value, row) == ("One.",)
    assert demonstrated(tmp_path, input_field, {"question": "It rains.", "context": "Why?"}, row) == ()


def test_an_input_of_several_fields_is_found_by_its_text_as_exports_write_it(tmp_path: Path) -> None:
    row = '{"input": "question: Why?\\ncontext: It rains.", "output": "One."}'
    assert demonstrated(tmp_path, "input", {"question": "Why?", "context": "It rains."}, row) == ("One.",)


def test_what_is_wrong_with_a_file_names_the_key_that_it_stands_under(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cast\.references\.demonstrations"):
        read_demonstrations(tmp_path / "none.csv", "input", "output", key="cast.references.demonstrations")
