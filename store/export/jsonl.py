"""JSON Lines: one object on each line, UTF-8."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .forms import Column, ExportRow

SUFFIX = ".jsonl"


def line_of(row: ExportRow) -> str:
    """A row as one line, without its end."""
    return json.dumps(row, ensure_ascii=False)


class JsonlFile:
    """A file that rows are written to."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: Sequence[ExportRow]) -> None:
        """Add rows."""
        self._file.writelines(line_of(row) + "\n" for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
