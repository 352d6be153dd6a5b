"""An export's columns in Arrow's types, for CSV, Parquet and datasets."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from .forms import Column, ColumnKind, ExportRow

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_TYPES: dict[ColumnKind, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "messages": _MESSAGES,
    "json": pa.string(),
}


def schema_of(columns: Sequence[Column], *, flat: bool = False) -> Any:
    """The columns' schema; `flat` has messages as JSON, for files that know no lists."""
    return pa.schema([(column.name, pa.string() if flat else _TYPES[column.kind]) if column.kind == "messages" else
                      (column.name, _TYPES[column.kind]) for column in columns])  # fmt: skip


def batch_of(rows: Sequence[ExportRow], columns: Sequence[Column], *, flat: bool = False) -> Any:
    """Some rows as one Arrow record batch."""
    messages = {column.name for column in columns if column.kind == "messages"} if flat else set()
    values = [
        {name: json.dumps(value, ensure_ascii=False) if name in messages else value for name, value in row.items()}
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(values, schema=schema_of(columns, flat=flat))
