"""CSV with a header: texts in quotes, missing values empty and without quotes, messages as JSON."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow.csv

from .arrow import batch_of, schema_of
from .forms import Column, ExportRow

SUFFIX = ".csv"


class CsvFile:
    """A file that rows are written to."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._writer = pyarrow.csv.CSVWriter(path, schema_of(columns, flat=True))

    def write(self, rows: Sequence[ExportRow]) -> None:
        """Add rows."""
        self._writer.write_batch(batch_of(rows, self._columns, flat=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
