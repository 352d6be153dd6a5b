"""Rows of files, for inputs and for demonstrations alike: .jsonl, .json, .csv, .tsv and .parquet.

What cannot be read without a doubt is refused, with its place and what to do; nothing is guessed that could make other
texts of those that stand there.
"""

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ConfigError, InputError

KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
"""Endings of the files that are read."""

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before the mark of UTF-16, which is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks. They say what the encoding is, so nothing has to be guessed."""
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")
"""What spreadsheets write above the header to say what stands between the fields."""


class FileRow(NamedTuple):
    """A row, and where it stands."""

    place: str
    """As a person finds it: `line 3`, `item 3` or `row 3`."""
    values: Mapping[str, Any]


class Reading(NamedTuple):
    """How a file is to be read, and what a message calls it."""

    columns: Sequence[str]
    """The keys or columns that are needed."""
    kind: str
    """What the rows are: `inputs` or `demonstrations`."""
    path_key: str
    """The configuration's key of the path."""
    columns_key: str
    """The configuration's key, or keys, of the columns."""
    encoding_key: str | None = None
    """The configuration's key of the encoding, where there is one."""
    delimiter: str | None = None
    """What stands between fields. None: the ending's own, or the one that fits where that does not."""
    encoding: str | None = None
    """None: what the byte order mark says, else UTF-8."""
    optional: Sequence[str] = ()
    """Keys or columns that are read where they are there."""
    split: str | None = None
    """Which split of a dataset. None: its only one."""
    subset: str | None = None
    """Which configuration of a dataset on the hub. None: its only one."""
    split_key: str = "split"
    """The configuration's key of the split."""


def read_rows(path: Path, reading: Reading) -> list[FileRow]:
    """The rows of a file in its order. A text alone is a row with that text, where one column is needed.

    Raises:
        InputError: there is no such file, it is of another kind, or it cannot be read; or a column is missing.
    """
    ending = path.suffix.lower()
    if is_dataset(path):
        return _from_dataset(path, reading)
    if reading.split is not None or reading.subset is not None:
        raise InputError(f"{path} is a file, and {reading.split_key} is for datasets; leave it out")
    if ending not in KINDS:
        raise unread_kind(path, reading, KINDS)
    if ending == ".parquet":
        return _from_parquet(path, reading)
    content = read_text(path, reading)
    if ending == ".jsonl":
        return _from_jsonl(path, content, reading)
    if ending == ".json":
        return _from_json(path, content, reading)
    return _from_table(path, content, reading, "\t" if ending == ".tsv" else ",")


def read_text(path: Path, reading: Reading) -> str:
    """The characters of a file.

    Raises:
        InputError: there is no such file, it is empty, or it is in another encoding.
    """
    data = _read_bytes(path, reading)
    encoding = reading.encoding or next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        content = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = data[:start].count(b"\n") + 1
        name = "UTF-8" if encoding == "utf-8" else encoding
        way = f", or say in {reading.encoding_key} how it was saved" if reading.encoding_key else ""
        raise InputError(
            f"{path}, line {line}: not {name} (byte {data[start]:#04x}); save the file as UTF-8{way}"
        ) from None
    if "\0" in content:
        line = content[: content.index("\0")].count("\n") + 1
        raise InputError(
            f"{path}, line {line}: there is a NUL character, as where a file of another encoding is read; save the "
            "file as UTF-8, or remove it"
        )
    if not content.strip():
        raise InputError(f"{path} is empty; give it {reading.kind}")
    return content


def is_dataset(path: Path) -> bool:
    """Whether a path is that of a dataset: a folder, or `hf://OWNER/NAME`."""
    return hub_id(path) is not None or path.is_dir()


def hub_id(path: Path) -> str | None:
    """The id in an address on the hub, `hf://OWNER/NAME` or `hf://datasets/OWNER/NAME`; else None."""
    scheme, _, rest = path.as_posix().partition(":/")  # a path has one slash where an address has two
    return rest.removeprefix("/").removeprefix("datasets/") if scheme == "hf" and rest.strip("/") else None


def as_json(value: Any) -> Any:
    """A value of a row's as JSON has it; what JSON does not know, such as NaN, becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def unstorable(text: str) -> str | None:
    """What no database can hold of a text, and what to do; None where it can."""
    if "\0" in text:
        return f"there is a NUL character in {text[:60]!r}; remove it"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return f"half of a surrogate pair (\\ud800 to \\udfff) in {text[:60]!r}; write the character itself, in UTF-8"
    return None


def rows_given(given: Any, what: str, wanted: str) -> list[Any]:
    """Rows that were given in Python in place of a file: a list, or a table.

    Args:
        given: The rows; of a table each becomes a mapping.
        what: What they are, and the argument's name: `inputs`, `examples`.
        wanted: What each has to be, for errors.

    Raises:
        ConfigError: it is a single thing, or nothing to go through.
    """
    if callable(getattr(given, "to_dict", None)) and hasattr(given, "columns"):  # pandas' table would give its columns
        return list(given.to_dict("records"))
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"{what}: {given!r:.80} is a {type(given).__name__}; give a list, each of them {wanted}")
    return list(given)


def unread_kind(path: Path, reading: Reading, kinds: Sequence[str]) -> InputError:
    """That files of this kind are not read, and which are."""
    found = repr(path.suffix) if path.suffix else "a file without ending"
    *first, last = kinds
    hint = "; save the sheet as CSV UTF-8" if path.suffix.lower() in {".xlsx", ".xls", ".ods"} else ""
    return InputError(f"{path}: {reading.kind} are read from {', '.join(first)} or {last}, not from {found}{hint}")


def _read_bytes(path: Path, reading: Reading) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file of {reading.kind} {str(path)!r}; set {reading.path_key}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _from_jsonl(path: Path, content: str, reading: Reading) -> list[FileRow]:
    lines = ((f"line {number}", line) for number, line in enumerate(content.split("\n"), start=1) if line.strip())
    return [_row(path, place, _json(path, place, line), reading) for place, line in lines]


def _from_json(path: Path, content: str, reading: Reading) -> list[FileRow]:
    """A list, or one value on each line, as files with this ending often are."""
    try:
        items = _json(path, None, content)
    except InputError:
        if sum(bool(line.strip()) for line in content.split("\n")) < 2 or content.lstrip()[:1] not in {"{", '"'}:
            raise
        try:
            return _from_jsonl(path, content, reading)
        except InputError as error:
            if "not valid JSON" not in str(error):
                raise
        raise
    if not isinstance(items, list):
        keys = f"an object with the keys {sorted(items)}" if isinstance(items, dict) else f"a {type(items).__name__}"
        raise InputError(f"{path}: it is {keys}; give a list of texts or of objects, or a .jsonl file")
    return [_row(path, f"item {number}", item, reading) for number, item in enumerate(items, start=1)]


def _json(path: Path, place: str | None, text: str) -> Any:
    where = f"{path}, {place}" if place else str(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f", column {error.colno}" if place else f", line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}{at}: not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested as deep
        raise InputError(f"{where}: not JSON that can be read: {error}") from None


def _row(path: Path, place: str, item: Any, reading: Reading) -> FileRow:
    if isinstance(item, str) and len(reading.columns) == 1:
        return FileRow(place, {reading.columns[0]: item})
    if not isinstance(item, dict):
        raise InputError(f"{path}, {place}: a {type(item).__name__} where an object was expected")
    return FileRow(place, item)


def _from_parquet(path: Path, reading: Reading) -> list[FileRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(_read_bytes(path, reading))) as file:
            names = file.schema_arrow.names
            if missing := [column for column in reading.columns if column not in names]:
                raise _no_column(str(path), missing[0], names, reading)
            wanted = dict.fromkeys([*reading.columns, *(name for name in reading.optional if name in names)])
            rows = file.read(columns=list(wanted)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return [FileRow(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _from_dataset(path: Path, reading: Reading) -> list[FileRow]:
    """The rows of a dataset in a folder or on the hub, of the columns that are wanted alone."""
    identity = hub_id(path)
    name = str(path) if identity is None else f"hf://{identity}"
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{name} is a dataset, which takes the package datasets; pip install 'openmic[datasets]'"
        ) from None
    try:
        if identity is None and any((path / file).exists() for file in ("dataset_info.json", "dataset_dict.json")):
            found = datasets.load_from_disk(str(path))
        else:
            owner, _, revision = (identity or "").partition("@")
            found = datasets.load_dataset(owner or str(path), reading.subset, revision=revision or None)
    except Exception as error:  # whatever stands in the way of a folder, or of the hub
        raise InputError(f"{name} cannot be read as a dataset: {type(error).__name__}: {error}") from None
    if isinstance(found, datasets.DatasetDict):
        splits = ", ".join(map(str, found))
        if reading.split is None and len(found) != 1:
            raise InputError(f"{name} has the splits {splits}; set {reading.split_key} to one of them")
        if reading.split is not None and reading.split not in found:
            raise InputError(f"{name} has no split {reading.split!r}, only {splits}; set {reading.split_key}")
        found = found[reading.split if reading.split is not None else next(iter(found))]
    elif reading.split is not None and str(found.split) != reading.split:
        raise InputError(f"{name} has no splits; leave out {reading.split_key}")
    if missing := [column for column in reading.columns if column not in found.column_names]:
        raise _no_column(name, missing[0], found.column_names, reading)
    wanted = [*reading.columns, *(column for column in reading.optional if column in found.column_names)]
    rows = found.select_columns(list(dict.fromkeys(wanted)))
    if not len(rows):
        raise InputError(f"{name} is empty; give it {reading.kind}")
    return [FileRow(f"row {number}", dict(row)) for number, row in enumerate(rows, start=1)]


class _Table(NamedTuple):
    """A table as one delimiter, and one rule for quotation marks, has it."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    """The line that each row ends on, and its fields."""
    problem: str | None
    """What is wrong with it, and where."""

    def has(self, columns: Sequence[str]) -> bool:
        return all(column in self.header for column in columns)


def _from_table(path: Path, content: str, reading: Reading, usual: str) -> list[FileRow]:
    skipped = 0
    wanted = reading.delimiter
    if said := _SEPARATOR_LINE.match(content):
        content, skipped, wanted = content[said.end() :], 1, wanted or said[1]
    table = _table(content, wanted or usual, skipped, quoted=True)
    if wanted is None and not table.has(reading.columns):
        table = _otherwise(path, content, reading, usual, skipped) or table
    elif (wanted or usual) == "\t":
        table = _with_bare_quotes(path, table, _table(content, "\t", skipped, quoted=False))
    if not table.header and table.problem is not None:
        raise InputError(f"{path}, {table.problem}")
    for column in reading.columns:
        if column not in table.header:
            raise _no_column(f"{path}, line {1 + skipped}", column, table.header, reading)
        if table.header.count(column) > 1:
            raise InputError(f"{path}, line {1 + skipped}: two columns are called {column!r}; rename one of them")
    if table.problem is not None:
        raise InputError(f"{path}, {table.problem}")
    return [FileRow(f"line {line}", dict(zip(table.header, row, strict=True))) for line, row in table.rows]


def _table(content: str, delimiter: str, skipped: int, *, quoted: bool) -> _Table:
    lines = csv.reader(
        io.StringIO(content, newline=""),
        strict=True,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in lines:
            if not row:
                continue
            if not header:
                header = [name.strip() for name in row]
                continue
            line = lines.line_num + skipped
            if len(row) != len(header):
                return _Table(header, rows, _other_number(line, row, header, delimiter))
            rows.append((line, row))
    except csv.Error as error:
        return _Table(header, rows, f"line {lines.line_num + skipped}: not valid CSV: {error}")
    return _Table(header, rows, None)


def _other_number(line: int, row: Sequence[str], header: Sequence[str], delimiter: str) -> str:
    number = "more or fewer fields than the header has"
    name = _DELIMITERS.get(delimiter, repr(delimiter))
    way = f"; put texts with {name} in them into quotation marks" if len(row) > len(header) else ""
    return f"line {line}: {number} ({len(row)}, not {len(header)}){way}"


def _otherwise(path: Path, content: str, reading: Reading, usual: str, skipped: int) -> _Table | None:
    """The table under the one other delimiter by which it has the columns; None where there is none.

    It has to hold to the last row: what merely looks so would cut texts where they have such a mark.
    """
    others = [delimiter for delimiter in _DELIMITERS if delimiter != usual]
    found = {delimiter: _table(content, delimiter, skipped, quoted=True) for delimiter in others}
    having = {delimiter: table for delimiter, table in found.items() if table.has(reading.columns)}
    if len(having) > 1:
        raise InputError(
            f"{path}: its fields could be apart by {' or '.join(_DELIMITERS[one] for one in having)}; "
            "set inputs.delimiter, or save it with commas"
        )
    return next(iter(having.values()), None)


def _with_bare_quotes(path: Path, quoted: _Table, bare: _Table) -> _Table:
    """A table of tabs whose quotation marks may be the text's own, as many programs write them."""
    if bare.problem is not None:
        return quoted
    if quoted.problem is not None:
        return bare
    if len(quoted.rows) != len(bare.rows):
        first = next(line for (line, _), (other, _) in zip(quoted.rows, bare.rows, strict=False) if line != other)
        raise InputError(
            f"{path}, line {first}: its quotation marks could hold several lines together, or belong to the texts; "
            "save it as .jsonl or .csv"
        )
    return quoted


def _no_column(where: str, column: str, header: Sequence[str], reading: Reading) -> InputError:
    """That a column is missing, and a way that does not make a text of what is none."""
    names = [name for name in header if name]
    together = next((mark for mark in ";\t|" if any(mark in name for name in names)), None)
    if together is not None or any(len(name.split()) > 3 for name in names):
        return InputError(
            f"{where}: no column {column!r} in its first line, {', '.join(names)[:80]!r}; the first line has to name "
            f"the columns, with commas between them (or tabs in a .tsv file): add {column!r} there"
        )
    return InputError(f"{where}: no column {column!r}; the columns are {names}; set {reading.columns_key}")
