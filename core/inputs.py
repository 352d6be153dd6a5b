"""Reading the literal inputs, and giving each its split by the hash of its content.

Every line is checked before anything else happens; the first thing wrong is reported with its line.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from .config import InputSettings
from .errors import InputError
from .ids import content_hash
from .records import Example, Input, Split, input_text
from .text import fold

MAX_CHARACTERS = 4000
"""A longer input, or field of one, is taken for a mistake, such as a whole file on one line."""


def read_inputs(settings: InputSettings) -> list[Example]:
    """All inputs in the file's order.

    Raises:
        InputError: the file is missing, empty, not UTF-8 or malformed, an input is blank or stands there twice, or a
            split that is needed came out empty.
    """
    path = settings.path
    first_seen: dict[str, int] = {}
    examples = []
    for number, record in _read_records(path, settings.field_names):
        value: Input = record if len(record) > 1 else next(iter(record.values()))
        text = input_text(value)
        if not any(fold(field) for field in record.values()):
            raise InputError(
                f"{path}, line {number}: the input is blank or has no word in it: {text[:60]!r}; remove the line"
            )
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(
                f"{path}, line {number}: half of a surrogate pair (\\ud800 to \\udfff) in {text[:60]!r}; "
                "write the character itself, in UTF-8"
            )
        longest = max(len(field) for field in record.values())
        if longest > MAX_CHARACTERS:
            raise InputError(
                f"{path}, line {number}: the input has {longest} characters, over {MAX_CHARACTERS}; split it"
            )
        folded = _folded(value)
        if folded in first_seen:
            raise InputError(
                f"{path}, line {number}: the same input as on line {first_seen[folded]}: {text[:60]!r}; remove one "
                "(an input that stands twice could be trained on and tested with)"
            )
        first_seen[folded] = number
        examples.append(example_of(value, settings.dev_ratio, settings.test_ratio))
    if settings.limit is not None:
        examples = examples[: settings.limit]
    if not examples:
        raise InputError(f"{path} holds no inputs; give it one text per line")
    for split in (Split.TRAIN, Split.TEST):
        if sum(example.split is split for example in examples) < 2:
            raise InputError(
                f"{path}: {len(examples)} inputs leave fewer than 2 in the {split} split; give more inputs, "
                "or change inputs.dev_ratio and inputs.test_ratio"
            )
    return examples


def example_of(value: Input, dev_ratio: float, test_ratio: float) -> Example:
    """The example that an input is, its id and its split worked out."""
    text, split = input_text(value), split_of(value, dev_ratio, test_ratio)
    if isinstance(value, str):
        return Example(content_hash(text), text, split)
    return Example(content_hash(list(value.items())), text, split, dict(value))


def split_of(value: Input, dev_ratio: float, test_ratio: float) -> Split:
    """The split of an input: a function of its words, so neither other inputs nor a comma ever move it."""
    position = int(content_hash(f"split:{_folded(value)}")[:12], 16) / 16**12
    if position < test_ratio:
        return Split.TEST
    return Split.DEV if position < test_ratio + dev_ratio else Split.TRAIN


def _folded(value: Input) -> str:
    """The words of an input, each field's apart; the same in whichever order the fields are named."""
    if isinstance(value, str):
        return fold(value)
    return "\n".join(f"{name}: {fold(text)}" for name, text in sorted(value.items()))


def _read_records(path: Path, fields: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of each input."""
    readers = {".jsonl": _from_jsonl, ".csv": _from_csv, ".txt": _from_txt}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path}: inputs are read from .jsonl, .csv or .txt, not from {path.suffix or 'a file without ending'!r}"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no input file {str(path)!r}; set inputs.path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: not UTF-8 (byte {data[error.start]:#04x}); save the file as UTF-8"
        ) from None
    if not content.strip():
        raise InputError(f"{path} is empty; give it one input per line")
    return readers[path.suffix.lower()](path, content, fields)


def _from_jsonl(path: Path, content: str, fields: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    records = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}, column {error.colno}: not valid JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested as deep
            raise InputError(f"{path}, line {number}: not JSON that can be read: {error}") from None
        for field in fields:
            if not isinstance(row, dict) or not isinstance(row.get(field), str):
                found = f"its keys are {sorted(row)}" if isinstance(row, dict) else f"it is a {type(row).__name__}"
                raise InputError(f"{path}, line {number}: no text under the key {field!r} ({found}); set inputs.fields")
        records.append((number, {field: row[field].strip() for field in fields}))
    return records


def _from_csv(path: Path, content: str, fields: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    records = []
    try:
        for field in fields:
            if field not in (reader.fieldnames or []):
                raise InputError(
                    f"{path}, line 1: no column {field!r}; the columns are {reader.fieldnames}; set inputs.fields"
                )
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{path}, line {reader.line_num}: more or fewer fields than the header has")
            records.append((reader.line_num, {field: row[field].strip() for field in fields}))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.reader.line_num}: not valid CSV: {error}") from None
    return records


def _from_txt(path: Path, content: str, fields: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    if len(fields) > 1:
        raise InputError(
            f"{path}: a .txt file holds one text on each line, and inputs.fields names {', '.join(fields)}; "
            "give a .jsonl or .csv file"
        )
    lines = enumerate(content.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, {fields[0]: line.strip()}) for number, line in lines if line.strip()]
