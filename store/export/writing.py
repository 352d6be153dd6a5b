"""Writing an export: rows are written as they are read; a file appears once it is whole."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal, Protocol, get_args

from ... import __version__
from ...core.errors import ConfigError
from ...core.files.private import make_private, private_folder
from ...core.records import Split, TurnKind
from ..conversations import ConversationReader
from ..liveness import live_status
from ..search.filters import DialogueFilter
from ..tables.transcript import Run, Turn
from .card import data_card
from .forms import COLUMNS, ExportForm, ExportRow
from .rows import export_rows

FileKind = Literal["jsonl", "csv", "parquet", "datasets"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)

_ROWS = 1000
"""Written at once."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written."""

    path: str
    """The file, or the folder."""
    card: str
    form: ExportForm
    kind: FileKind
    rows: dict[str, int]
    """By split."""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


class _File(Protocol):
    def write(self, rows: list[ExportRow]) -> None: ...

    def __enter__(self) -> "_File": ...

    def __exit__(self, *problem: Any) -> None: ...


def default_splits(form: ExportForm) -> tuple[Split, ...]:
    """What is exported where nothing is said: held-out inputs are for nobody to train on."""
    return tuple(Split) if form == "transcript" else (Split.TRAIN,)


def export(
    reader: ConversationReader,
    run: Run,
    target: Path,
    form: ExportForm,
    kind: FileKind,
    *,
    wanted: DialogueFilter | None = None,
    splits: Collection[Split] | None = None,
    trained: bool = False,
) -> ExportSummary:
    """Write a run's rows into a folder, a file for each split, or into one file, with a data card.

    A target with a suffix is a file; its card stands beside it, with the suffix `.md`.

    Raises:
        ConfigError: The target is there already, there is nothing to write, or datasets' folder was to be a file.
        StoreError: As for `export_rows`.
    """
    single = bool(target.suffix)
    card = target.with_suffix(".md") if single else target / "README.md"
    _check_target(target, card, kind, single=single)
    private_folder(target.parent)
    staging = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        rows = export_rows(reader, run, form, wanted=wanted, splits=splits or default_splits(form), trained=trained)
        files = _write(rows, staging, form, kind, single=target.name if single else None)
        counts = {split: count for split, (_, count) in files.items()}
        if not counts:
            raise ConfigError(_nothing(run, form, trained=trained))
        passed = {**(wanted.as_json() if wanted else {}), **({"learned from": "by an adapter"} if trained else {})}
        standing = live_status(reader, run)
        revised = bool(reader.select(Turn, run_id=run.id, kind=TurnKind.REVISION, limit=1))
        text = data_card(run, form, kind, files, passed, __version__, single=single, standing=standing, revised=revised)
        (staging / card.name).write_text(text, encoding="utf-8")
        make_private(staging)
        _put_in_place(staging, target, card, single=single)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return ExportSummary(str(target), str(card), form, kind, counts)


def _check_target(target: Path, card: Path, kind: FileKind, *, single: bool) -> None:
    if kind == "datasets":
        from .datasets_folder import require_datasets

        if single:
            raise ConfigError(f"{str(target)!r} has a suffix, and `--to datasets` writes a folder: name one without")
        require_datasets()
    for path in (target, *([card] if single else [])):
        if path.is_dir() and not any(path.iterdir()):
            continue
        if path.exists():
            raise ConfigError(f"{str(path)!r} is there already: name another place, or remove it first")


def _write(
    rows: Iterator[ExportRow], folder: Path, form: ExportForm, kind: FileKind, *, single: str | None
) -> dict[str, tuple[str, int]]:
    """Write the files; returns by split the name of its file and how many rows are in it."""
    suffix, open_file = _opener(kind)
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        files: dict[str, _File] = {}
        while some := list(islice(rows, _ROWS)):
            for split, of_split in _by_split(some).items():
                name = names.setdefault(split, single or f"{split}{suffix}")
                if name not in files:
                    files[name] = stack.enter_context(open_file(folder / name, COLUMNS[form]))
                files[name].write(of_split)
                counts[split] = counts.get(split, 0) + len(of_split)
    if kind == "datasets" and counts:
        from .datasets_folder import save_folder

        save_folder({split: folder / name for split, name in names.items()}, folder)
        names = dict.fromkeys(names, "")
    return {split.value: (names[split.value], counts[split.value]) for split in Split if split.value in counts}


def _opener(kind: FileKind) -> tuple[str, Any]:
    """The suffix of a kind of file, and what opens one; Arrow is imported where it is needed."""
    if kind == "jsonl":
        from .jsonl import SUFFIX, JsonlFile

        return SUFFIX, JsonlFile
    if kind == "csv":
        from .csv import SUFFIX, CsvFile

        return SUFFIX, CsvFile
    if kind == "parquet":
        from .parquet import SUFFIX, ParquetFile

        return SUFFIX, ParquetFile
    from .datasets_folder import SUFFIX, ArrowFile

    return SUFFIX, ArrowFile


def _by_split(rows: list[ExportRow]) -> Mapping[str, list[ExportRow]]:
    found: dict[str, list[ExportRow]] = {}
    for row in rows:
        found.setdefault(row["split"], []).append(row)
    return found


def _put_in_place(staging: Path, target: Path, card: Path, *, single: bool) -> None:
    if single:
        (staging / card.name).rename(card)
        (staging / target.name).rename(target)
        return
    if target.is_dir():
        target.rmdir()  # it is empty
    staging.rename(target)


def _nothing(run: Run, form: ExportForm, *, trained: bool) -> str:
    more = (
        ""
        if run.source_run_id is None
        else {
            "train": f"; it trained on run {run.source_run_id}: export that",
            "rejudge": f"; the texts it judged are of run {run.source_run_id}: export that",
        }.get(run.kind, "")
    )
    those = " that an adapter learned from" if trained else ""
    return f"run {run.id} has nothing for --format {form}{those} under these filters and splits{more}"
