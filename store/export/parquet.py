"""Parquet, compressed, with lists of messages as they are."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow.parquet

from .arrow import batch_of, schema_of
from .forms import Column, ExportRow

SUFFIX = ".parquet"


class ParquetFile:
    """A file that rows are written to."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._writer = pyarrow.parquet.ParquetWriter(path, schema_of(columns), compression="zstd")

    def write(self, rows: Sequence[ExportRow]) -> None:
        """Add rows."""
        self._writer.write_batch(batch_of(rows, self._columns))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
