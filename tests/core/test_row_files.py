"""Files as people's programs save them: read as they are meant, or refused with the way to mend them."""

import codecs
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from openmic.core.config import InputSettings

from .input_files import Write, refusal, texts_of

TEXTS = [f"The {thing} broke; on day {day}, sadly." for day in range(10) for thing in ("kettle", "bus", "café", "汽车")]
QUOTED = [f'"{text}"' for text in TEXTS]


def rows(delimiter: str, header: str = "id{}input", *, quoted: bool = True) -> str:
    texts = QUOTED if quoted else TEXTS
    lines = [header.format(delimiter), *(f"{n}{delimiter}{text}" for n, text in enumerate(texts))]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", rows(",")),
        ("a.csv", rows(";")),
        ("a.csv", rows("\t")),
        ("a.csv", rows("|")),
        ("a.csv", rows(";", "sep=;\r\nid{}input")),
        ("a.csv", rows(", ", "id{}input").replace(', "', ',"')),  # a space after the comma of the header alone
        ("a.tsv", rows("\t", quoted=False)),
        ("a.tsv", rows("\t")),
        ("a.TSV", rows(",")),
        ("a.json", json.dumps(TEXTS)),
        ("a.json", json.dumps([{"id": n, "input": text} for n, text in enumerate(TEXTS)], indent=2)),
        ("a.json", "\n".join(json.dumps({"input": text}) for text in TEXTS)),
        ("a.jsonl", "\n".join(json.dumps(text) for text in TEXTS)),
    ],
)
def test_what_is_meant_without_a_doubt_is_read(write: Write, name: str, content: str) -> None:
    assert texts_of(write(name, content)) == TEXTS


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary("int8", "string")])
def test_parquet_is_read(tmp_path: Path, kind: Any) -> None:
    table = pyarrow.table({"n": list(range(len(TEXTS))), "sentence": pyarrow.array(TEXTS).cast(kind)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", fields="sentence") == TEXTS
    assert "no column 'input'; the columns are ['n', 'sentence']; set inputs.fields" in refusal(tmp_path / "a.parquet")
    numbers = refusal(tmp_path / "a.parquet", fields="n")
    assert "row 1: no text under the key 'n' (0)" in numbers


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.json", "a.jsonl"])
def test_a_byte_order_mark_says_the_encoding(write: Write, encoding: str, name: str) -> None:
    content = {
        "a.txt": "\n".join(TEXTS),
        "a.csv": rows(","),
        "a.tsv": rows("\t"),
        "a.json": json.dumps(TEXTS, ensure_ascii=False),
        "a.jsonl": "\n".join(json.dumps({"input": text}, ensure_ascii=False) for text in TEXTS),
    }[name]
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    assert texts_of(write(name, mark + content.encode(encoding))) == TEXTS


def test_another_encoding_is_read_where_it_is_named_and_never_guessed(write: Write) -> None:
    texts = [text for text in TEXTS if "汽" not in text]
    path = write("a.txt", "\n".join(texts).encode("cp1252"))
    message = refusal(path)
    assert "line 3: not UTF-8 (byte 0xe9)" in message
    assert "save the file as UTF-8, or say in inputs.encoding how it was saved" in message
    assert texts_of(path, encoding="cp1252") == texts
    assert "line 1: not ascii" in refusal(write("b.txt", "é".encode()), encoding="ascii")
    assert "there is a NUL character" in refusal(write("c.txt", "A bus.\nA door.".encode("utf-16-le")))
    with pytest.raises(ValidationError, match="no encoding 'rot13'"):
        InputSettings(path=path, encoding="rot13")


REFUSED = [
    # a first line that is an input, or that other marks divide: to name it in inputs.fields would learn garbage
    ("a.csv", "\n".join(QUOTED), "the first line has to name the columns"),
    ("a.csv", "id:input\n1:The bus left", "no column 'input'"),
    ("a.csv", "id;text\n1;The bus left", "the first line has to name the columns"),
    # cut by a mark in the texts: the third line has three of two fields
    ("a.csv", "id;input\n1;The bus left\n2;The bus; it left", "line 3: more or fewer fields than the header has (3,"),
    ("a.csv", "id;input\n1;a; b", "put texts with semicolons in them into quotation marks"),
    (
        "a.csv",
        "a;input;b|input|c\n1;2;3|4|5\n",
        "apart by semicolons or bars; set inputs.delimiter",
    ),
    ("a.csv", "input,input\na,b\n", "two columns are called 'input'; rename one of them"),
    ("a.csv", "id,text\n1,The bus left", "the columns are ['id', 'text']; set inputs.fields"),
    ("a.tsv", 'input\tid\n"One\t1\nTwo"\t2\n', "its quotation marks could hold several lines together"),
    ("a.json", '{"data": ["a b"]}', "an object with the keys ['data']; give a list of texts or of objects"),
    ("a.json", '{"input": {"0": "a b"}}', "give a list of texts or of objects, or a .jsonl file"),
    ("a.json", "7", "it is a int; give a list"),
    ("a.json", '["a b",\n "c d"', "line 2, column 7: not valid JSON"),
    ("a.json", '{"input": "a b"}\n{"input": "c d"', "not valid JSON"),
    ("a.json", '["a b", 7]', "item 2: a int where an object was expected"),
    ("a.parquet", "no parquet", "cannot be read"),
    ("a.xlsx", "", "not from '.xlsx'; save the sheet as CSV UTF-8"),
    ("a.csv.gz", "", "not from '.gz'"),
    ("a.csv", "input\na\0b\n", "line 2: there is a NUL character"),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED)
def test_what_could_be_misread_is_refused_and_how_to_mend_it_said(
    write: Write, name: str, content: str, message: str
) -> None:
    told = refusal(write(name, content))
    assert message in told
    assert "\n" not in told


def test_a_delimiter_can_be_named(write: Write) -> None:
    assert texts_of(write("a.csv", rows("^")), delimiter="^") == TEXTS
    assert (
        texts_of(write("b.csv", rows(";", "input{}input").replace("input;input", "id;input")), delimiter=";") == TEXTS
    )


def test_quotation_marks_in_a_table_of_tabs_are_the_texts_own_where_they_do_not_pair(write: Write) -> None:
    said = [f'"No," said the {thing} {n}.' for n in range(10) for thing in ("kettle", "bus", "door")]
    content = "id\tinput\n" + "\n".join(f"{n}\t{text}" for n, text in enumerate(said))
    assert texts_of(write("a.tsv", content)) == said
