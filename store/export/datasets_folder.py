"""A folder of Hugging Face's `datasets`, which its `load_from_disk` opens, with a split for each of the inputs'."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from ...core.errors import ConfigError
from .arrow import batch_of, schema_of
from .forms import Column, ExportRow

SUFFIX = ".arrow"


class ArrowFile:
    """Rows on their way into such a folder."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._writer = pa.ipc.new_stream(path, schema_of(columns))

    def write(self, rows: Sequence[ExportRow]) -> None:
        """Add rows."""
        self._writer.write_batch(batch_of(rows, self._columns))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def require_datasets() -> None:
    """Make sure that the package is there.

    Raises:
        ConfigError: It is not.
    """
    try:
        import datasets  # noqa: F401 - only whether it can be
    except ImportError:
        raise ConfigError(
            "exporting to a folder of Hugging Face's datasets takes their package: pip install 'openmic[datasets]'; "
            "`--to parquet` needs nothing more, and `datasets` reads it too"
        ) from None


def save_folder(files: dict[str, Path], folder: Path) -> None:
    """Turn files of rows, by split, into a folder; the files are read bit by bit, and removed."""
    import datasets

    datasets.disable_progress_bars()
    splits = {split: datasets.Dataset.from_file(str(path)) for split, path in files.items()}
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    for path in files.values():
        path.unlink()
