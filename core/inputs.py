"""Reading the literal inputs, and giving each its split by the hash of its content.

Every line is checked before anything else happens; the first thing wrong is reported with its line.
"""

import csv
import io
import json
from pathlib import Path

from .config import InputSettings
from .errors import InputError
from .ids import content_hash
from .records import Example, Split
from .text import fold

MAX_CHARACTERS = 4000
"""A longer input is taken for a mistake, such as a whole file on one line."""


def read_inputs(settings: InputSettings) -> list[Example]:
    """All inputs in the file's order.

    Raises:
        InputError: the file is missing, empty, not UTF-8 or malformed, an input is blank or stands there twice, or a
            split that is needed came out empty.
    """
    path = settings.path
    lines = _read_texts(path, settings.field)
    first_seen: dict[str, int] = {}
    examples = []
    for number, text in lines:
        if not fold(text):
            raise InputError(
                f"{path}, line {number}: the input is blank or has no word in it: {text[:60]!r}; remove the line"
            )
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(
                f"{path}, line {number}: half of a surrogate pair (\\ud800 to \\udfff) in {text[:60]!r}; "
                "write the character itself, in UTF-8"
            )
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"{path}, line {number}: the input has {len(text)} characters, over {MAX_CHARACTERS}; split it"
            )
        folded = fold(text)
        if folded in first_seen:
            raise InputError(
                f"{path}, line {number}: the same input as on line {first_seen[folded]}: {text[:60]!r}; remove one "
                "(an input that stands twice could be trained on and tested with)"
            )
        first_seen[folded] = number
        examples.append(Example(content_hash(text), text, split_of(text, settings.dev_ratio, settings.test_ratio)))
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


def split_of(text: str, dev_ratio: float, test_ratio: float) -> Split:
    """The split of an input: a function of its words, so neither other inputs nor a comma ever move it."""
    position = int(content_hash(f"split:{fold(text)}")[:12], 16) / 16**12
    if position < test_ratio:
        return Split.TEST
    return Split.DEV if position < test_ratio + dev_ratio else Split.TRAIN


def _read_texts(path: Path, field: str) -> list[tuple[int, str]]:
    """(line number, text) of each input."""
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
    return readers[path.suffix.lower()](path, content, field)


def _from_jsonl(path: Path, content: str, field: str) -> list[tuple[int, str]]:
    texts = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}, column {error.colno}: not valid JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested as deep
            raise InputError(f"{path}, line {number}: not JSON that can be read: {error}") from None
        if not isinstance(row, dict) or not isinstance(row.get(field), str):
            found = f"its keys are {sorted(row)}" if isinstance(row, dict) else f"it is a {type(row).__name__}"
            raise InputError(f"{path}, line {number}: no text under the key {field!r} ({found}); set inputs.field")
        texts.append((number, row[field].strip()))
    return texts


def _from_csv(path: Path, content: str, field: str) -> list[tuple[int, str]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    texts = []
    try:
        if field not in (reader.fieldnames or []):
            raise InputError(
                f"{path}, line 1: no column {field!r}; the columns are {reader.fieldnames}; set inputs.field"
            )
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{path}, line {reader.line_num}: more or fewer fields than the header has")
            texts.append((reader.line_num, row[field].strip()))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.reader.line_num}: not valid CSV: {error}") from None
    return texts


def _from_txt(_path: Path, content: str, _field: str) -> list[tuple[int, str]]:
    lines = enumerate(content.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]
