"""Demonstrations that exist already: a file of inputs and outputs, read once and looked up by input."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .records import input_text
from .row_files import Reading, read_rows, unstorable
from .text import fold


def read_demonstrations(path: Path, input_field: str | Sequence[str], output_field: str) -> dict[str, tuple[str, ...]]:
    """The outputs for each input, by the input's folded text (`core.text.fold`), in the file's order.

    Args:
        path: A .jsonl, .json, .csv, .tsv or .parquet file.
        input_field: The key or column of the input, or those of its fields.
        output_field: The key or column of the output: a text, or a list of texts.

    Raises:
        InputError: the file cannot be read, or a row lacks an input or an output; it names the row.
    """
    found: dict[str, dict[str, None]] = {}
    fields = (input_field,) if isinstance(input_field, str) else tuple(input_field)
    reading = Reading(
        columns=(*fields, output_field),
        kind="demonstrations",
        path_key="cast.teacher.demonstrations",
        columns_key="input_field and output_field",
    )
    for place, row in read_rows(path, reading):
        where = f"{path}, {place}"
        source, outputs = _input(row, input_field), row.get(output_field)
        if source is None:
            raise InputError(f"{where}: no text under {input_field!r} (it has {sorted(row)}); set input_field")
        texts = [outputs] if isinstance(outputs, str) else outputs
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise InputError(
                f"{where}: no text or list of texts under {output_field!r} (it has {sorted(row)}); set output_field"
            )
        if spoilt := unstorable("\n".join([source, *texts])):
            raise InputError(f"{where}: {spoilt}")
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
