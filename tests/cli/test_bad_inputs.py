"""Inputs that cannot be learned from: see `refusal` for what they get."""

import json
from pathlib import Path

import pytest

from .conftest import LINES, Openmic
from .refusal import refused


def jsonl(*lines: str) -> bytes:
    return "\n".join([*(json.dumps({"input": line}) for line in LINES), *lines]).encode()


INPUTS = [
    ("missing.txt", None, ["there is no file of inputs", "missing.txt", "inputs.path"]),
    ("empty.txt", b"", ["empty.txt is empty"]),
    ("blank.jsonl", b"\n \n", ["blank.jsonl is empty"]),
    ("latin.txt", "\n".join([*LINES[:4], "The café was shut."]).encode("latin-1"), ["line 5", "not UTF-8", "0xe9"]),
    ("broken.jsonl", jsonl('{"input": "cut of'), ["line 31", "column 11", "not valid JSON"]),
    ("other.jsonl", jsonl('{"text": "wrong key"}'), ["line 31", "'input'", "['text']", "inputs.field"]),
    ("number.jsonl", jsonl('{"input": 3}'), ["line 31", "no text under the key 'input'"]),
    ("list.jsonl", jsonl("[1]"), ["line 31", "a list where an object was expected"]),
    ("nothing.jsonl", jsonl('{"input": "..."}'), ["line 31", "no word"]),
    ("columns.csv", b"text\nHello there.\n", ["line 1", "no column 'input'", "['text']", "inputs.field"]),
    ("ragged.csv", b"input,n\nA cat sat.,1\nA dog ran.\n", ["line 3", "fewer fields"]),
    ("quote.csv", b'input\n"never closed\n', ["line 2", "not valid CSV"]),
    ("twice.txt", "\n".join([*LINES, "i lost UMBRELLA number 3, on the train"]).encode(), ["line 31", "line 4"]),
    ("few.txt", b"One sentence alone.\n", ["fewer than 2"]),
    ("inputs.docx", b"x", [".tsv, .parquet or .txt", ".docx"]),
    ("long.txt", ("word " * 20_001).encode(), ["line 1", "over inputs.max_characters=100000"]),
]


@pytest.mark.parametrize(("name", "content", "said"), INPUTS, ids=[name for name, _, _ in INPUTS])
def test_inputs_that_cannot_be_used(
    openmic: Openmic, config: Path, tmp_path: Path, name: str, content: bytes | None, said: list[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"inputs.path={name}")
    for words in (name, *said):
        assert words in error
