"""Demonstrations that exist already: a file of inputs and outputs, read once and looked up by input."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .records import input_text
from .text import fold


def read_demonstrations(path: Path, input_field: str | Sequence[str], output_field: str) -> dict[str, tuple[str, ...]]:
    """The outputs for each input, by the input's folded text (`core.text.fold`), in the file's order.

    Args:
        path: A .jsonl, .csv, .tsv or .parquet file.
        input_field: The key or column of the input, or those of its fields.
        output_field: The key or column of the output: a text, or a list of texts.

    Raises:
        InputError: the file cannot be read, or a row lacks an input or an output; it names the row.
    """
    found: dict[str, dict[str, None]] = {}
    for number, row in _rows(path):
        where = f"{path}, row {number}"
        source, outputs = _input(row, input_field), row.get(output_field)
        if source is None:
            raise InputError(f"{where}: no text under {input_field!r} (it has {sorted(row)}); set input_field")
        texts = [outputs] if isinstance(outputs, str) else outputs
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise InputError(
                f"{where}: no text or list of texts under {output_field!r} (it has {sorted(row)}); set output_field"
            )
        found.setdefault(fold(source), {}).update(dict.fromkeys(text.strip() for text in texts if text.strip()))
    known = {source: tuple(outputs) for source, outputs in found.items() if outputs}
    if not known:
        raise InputError(f"{path} holds no demonstration; give it rows with {input_field!r} and {output_field!r}")
    return known


def _input(row: Mapping[str, Any], fields: str | Sequence[str]) -> str | None:
    """The input of a row as one text; None where it is not there."""
    names = [fields] if isinstance(fields, str) else list(fields)
    texts = {name: row.get(name) for name in names}
    if not all(isinstance(text, str) for text in texts.values()) or not "".join(map(str, texts.values())).strip():
        return None
    return str(texts[names[0]]) if isinstance(fields, str) else input_text({k: str(v) for k, v in texts.items()})


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a file, numbered from 1 as a person would."""
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            import pyarrow.parquet

            yield from enumerate(pyarrow.parquet.read_table(path).to_pylist(), start=1)
        elif kind == ".jsonl":
            for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
                if line.strip():
                    yield number, _object(path, number, line)
        elif kind in {".csv", ".tsv"}:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file, strict=True, delimiter="\t" if kind == ".tsv" else ",")
                yield from enumerate(rows, start=1)
        else:
            raise InputError(f"{path}: demonstrations are read from .jsonl, .csv, .tsv or .parquet")
    except FileNotFoundError:
        raise InputError(f"there is no file of demonstrations {str(path)!r}; set cast.teacher.demonstrations") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise InputError(f"{path}, line {number}: a {type(row).__name__} where an object was expected")
    return row
