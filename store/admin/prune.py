"""Deleting whole runs, with all that belongs to them and nothing that others need, while nobody works on them."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, func, or_, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, col

from ...core.errors import ConfigError, StoreFaultError, may_not_write
from ..dialects.engine import changing_schema, writing
from ..dialects.holding import held_elsewhere
from ..dialects.postgresql import reason
from ..dialects.sqlite import vacuum
from ..liveness import (
    PRUNED,
    ExperimentSeed,
    being_pruned,
    held_here,
    is_folder_held,
    is_in_use,
    live_status,
    named,
    owner_of_folder,
    run_folder,
)
from ..places import is_relative, is_same, owner
from ..reading import Reader
from ..schema import TableModel, column_of, table_of
from ..store import Store
from ..tables.training import Evaluation, EvaluationItem, Training, TrainingMetric
from ..tables.transcript import (
    BallotRow,
    CritiqueRow,
    Dialogue,
    ExampleRow,
    ExperimentRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Turn,
)
from . import word_index

_THROUGH: dict[Table, tuple[str, type[SQLModel], str]] = {
    table_of(BallotRow): ("turn_id", Turn, "id"),
    table_of(CritiqueRow): ("turn_id", Turn, "id"),
    table_of(TrainingMetric): ("training_id", Training, "id"),
    table_of(EvaluationItem): ("evaluation_id", Evaluation, "id"),
}
"""How rows without a run of their own belong to one: by which column, of which table."""
_DELETED = ".deleted"
"""What the names of folders end with, after a dot, that are being deleted."""
_OPEN_ANYWAY = 128
"""Files that a process has open beside locks, and more."""
_SHARED = frozenset({table_of(ExampleRow), table_of(ExperimentRow), table_of(PromptRow), table_of(PromptTemplateRow)})


def prunable(
    reader: Reader, runs: Sequence[Run] = (), *, before: datetime | None = None, keep: int | None = None
) -> list[Run]:
    """The runs that may be deleted: those given, or else all that are old.

    Args:
        reader: The store.
        runs: Runs to delete; they must be deletable.
        before: Without `runs`: only those that began before this moment.
        keep: Without `runs`: the latest so many stay.

    Returns:
        The latest first. Without `runs`, those that go on or are in use, and those that a run that stays needs, are
        left.

    Raises:
        ConfigError: A given run is going on or in use, or a run that would stay needs what it made.
    """
    every = reader.select(Run, order_by="-created_at")
    needed = _needed(reader.rows)
    if runs:
        chosen = {run.id for run in runs}
        for run in runs:
            if live_status(reader, run) == "running":
                raise ConfigError(f"run {run.id} is going on: end it first")
            if is_in_use(reader, run):
                raise ConfigError(_used(run))
        _refuse_needed(chosen, needed)
        return [run for run in every if run.id in chosen]
    old = [run for run in every[keep or 0 :] if before is None or run.created_at < before]
    chosen = {run.id for run in old if live_status(reader, run) != "running" and not is_in_use(reader, run)}
    chosen -= _kept(chosen, needed)
    return [run for run in every if run.id in chosen]


def _used(run: Run) -> str:
    return f"run {run.id} is served, talked to, exported or taken up by another process: end that first"


def _needed(ask: Callable[[Select[Any, Any]], Iterable[Any]]) -> dict[str, set[str]]:
    """By the run, the runs that need its transcripts or adapters."""
    taken_from = column_of(Training, "metrics")["taken_from"].as_string()
    ties = (col(Run.id), col(Run.source_run_id)), (col(Run.id), col(Run.reuses)), (col(Training.run_id), taken_from)
    found: dict[str, set[str]] = {}
    for needs, needed in ties:
        for row in ask(select(needs, needed).where(needed.is_not(None))):
            found.setdefault(row[1], set()).add(row[0])
    return found


def _kept(chosen: set[str], needed: Mapping[str, set[str]]) -> set[str]:
    """Those among the chosen that stay, since a run that stays needs them, or one that is kept for it."""
    left = set(chosen)
    while kept := {run_id for run_id in left if needed.get(run_id, frozenset()) - left}:
        left -= kept
    return chosen - left


def _refuse_needed(chosen: set[str], needed: Mapping[str, set[str]]) -> None:
    for run_id in sorted(chosen):
        if staying := sorted(needed.get(run_id, frozenset()) - chosen):
            raise ConfigError(f"run {staying[0]} works with what run {run_id} made: name both, or neither")


def belonging(reader: Reader, run_ids: Sequence[str]) -> dict[str, int]:
    """How many rows of each table belong to runs; tables of which none do are left out."""
    counts = {
        table.name: reader.rows(select(func.count()).select_from(table).where(condition))[0][0]
        for table, condition in _conditions(run_ids)
    }
    return {name: number for name, number in sorted(counts.items()) if number}


@dataclass(slots=True)
class Pruned:
    """What came of deleting runs."""

    runs: list[str] = field(default_factory=list)
    """The ids of those that are gone, the latest first."""
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows were deleted, by table."""
    folders: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Why runs that were chosen stay: they were taken up meanwhile, or what they made is needed."""
    faults: list[str] = field(default_factory=list)
    """Which folders could not be deleted, and why."""


def prune(store: Store, runs: Sequence[Run], *, given: bool = False, files: bool = False) -> Pruned:
    """Delete runs with all that belongs to them, and inputs and prompts that nothing uses any more.

    Each run, and all of its experiment, is held meanwhile. All rows go, or none; then the folders. The space is
    free for new rows afterwards; `compact` gives it back to the disk.

    Args:
        store: Open for writing.
        runs: As `prunable` chose them, maybe a while ago.
        given: Whether to refuse all where one of them must stay by now; else it is left.
        files: Whether their folders go too. Adapters in remote storage are never deleted.

    Raises:
        ConfigError: A given run is going on or in use, a run that stays needs what it made, or they are more than this
            process can hold at once.
        StoreFaultError: What stays refers to what would be deleted, the store cannot be written, a lock cannot be
            opened, or another process took one of them up while the server was gone.
    """
    done = Pruned()
    for folder in left_behind(store) if files else []:
        _delete_folder(folder, done)
    with _held(store, runs, None if given else done.left) as going:
        if not going:
            return done
        done.runs = [run.id for run in going]
        done.rows = _delete(store, going)
        for folder, run in ((run_folder(store, run), run) for run in going if files):
            if folder.is_dir() and (why := _not_ours(store, run)) is not None:
                done.faults.append(f"the folder {str(folder)!r} stays: {why}")
            elif folder.is_dir():
                _delete_folder(folder, done)
    return done


def left_behind(reader: Reader) -> list[Path]:
    """Folders of runs whose rows are gone: whoever deleted them was ended before the folders went."""
    beside = {run_folder(reader, run).parent for run in reader.select(Run)}
    if reader.dialect == "sqlite":
        beside.add(Path(reader.located("runs")))
    return [
        *(one for folder in sorted(beside) for one in sorted(folder.glob(f".*{_DELETED}"))),
        *(
            word.parent
            for folder in sorted(beside)
            for word in sorted(folder.glob(f"*/{PRUNED}"))
            if not word.parent.name.endswith(_DELETED)
            and is_same(reader.url, owner(word.parent) or "")
            and reader.get(Run, word.parent.name) is None
            and not is_folder_held(word.parent)
        ),
    ]


def _delete_folder(folder: Path, done: Pruned) -> None:
    """Delete a folder under another name, by which it is known should this be ended half-way."""
    gone = folder if folder.name.endswith(_DELETED) else folder.with_name(f".{folder.name}{_DELETED}")
    try:
        if folder.is_symlink():
            raise OSError("it is a symbolic link")
        if gone != folder:
            folder.rename(gone)
        shutil.rmtree(gone)
        done.folders.append(str(folder))
    except FileNotFoundError:  # another process deletes it, too
        done.folders.append(str(folder))
    except OSError as error:
        left = gone if gone.exists() else folder
        done.faults.append(f"the folder {str(left)!r} could not be deleted: {error}; delete it yourself")


def _not_ours(store: Store, run: Run) -> str | None:
    """Why a run's folder is not this store's to delete."""
    folder = run_folder(store, run)
    if (said := owner(folder)) is None:
        ours = is_relative(run.home) and folder.name == run.id
        return None if ours else "nothing in it says whose it is; delete it yourself"
    other = owner_of_folder(store, run)
    if other is None and store.dialect != "sqlite" and not is_same(store.url, said):
        other = said
    return None if other is None else f"it belongs to the store {other!r}"


@contextmanager
def _held(store: Store, runs: Sequence[Run], left: list[str] | None) -> Iterator[list[Run]]:
    """Hold runs that may go, and their experiments, so that nobody takes them up; gives those runs.

    What stays is let go of at once: others may read it, and go on with it, while the rest is deleted. `left` takes why
    it stays; where it is None, a run that must stay is refused.
    """
    parts = _experiments_of(store, runs)
    _allow_open_files(len(runs) + sum(map(len, parts.values())))
    with ExitStack() as stack:
        of_experiments = {name: stack.enter_context(ExitStack()) for name in parts}
        of_runs = {run.id: stack.enter_context(ExitStack()) for run in runs}
        busy: dict[str, str] = {}
        for name, seeds in parts.items():
            why = next(filter(None, (_why_busy(of_experiments[name], store, seed) for seed in seeds)), None)
            if why is not None:
                busy[name] = why
        held: dict[str, Run] = {}
        for run in runs:
            why = f"run {run.id} is gone already"
            if (now := store.get(Run, run.id)) is not None:  # it may have been taken up since it was looked at
                why = busy.get(run.experiment or "") or _why_busy(of_runs[run.id], store, now)
            if why is None:
                held[run.id] = run
                continue
            if left is None:
                raise ConfigError(why)
            left.append(why)
            of_runs[run.id].close()
        needed = _needed(store.rows)
        if left is None:
            _refuse_needed(set(held), needed)
        else:
            kept = _kept(set(held), needed)
            for run_id in [one for one in held if one in kept]:
                left.append(f"run {run_id} stays: another run works with what it made")
                del held[run_id]
                of_runs[run_id].close()
        for name in parts.keys() - {run.experiment for run in held.values()}:
            of_experiments[name].close()
            del parts[name]
        names = [named(run) for run in held.values()] + [named(seed) for seeds in parts.values() for seed in seeds]
        if names:
            stack.enter_context(store.sole_writer(*names))
        yield list(held.values())


def _experiments_of(store: Store, runs: Sequence[Run]) -> dict[str, list[ExperimentSeed]]:
    """All seeds of the experiments that runs are of, by the experiment's name.

    One that goes on takes over what another seed's runs were told.
    """
    names = sorted({run.experiment for run in runs if run.experiment})
    told = store.select(ExperimentRow, name=names) if names else []
    seeds = {ExperimentSeed(run.experiment, run.seed) for run in runs if run.experiment}
    seeds |= {ExperimentSeed(row.name, seed) for row in told for seed in row.spec.get("seeds", [])}
    return {name: sorted(one for one in seeds if one.experiment == name) for name in names}


def _why_busy(stack: ExitStack, store: Store, what: Run | ExperimentSeed) -> str | None:
    """Why a run or an experiment's seed cannot be held on this machine; None where the stack holds it now."""
    if store.held_on_server(named(what)):
        return str(held_elsewhere(named(what), ""))
    if isinstance(what, Run) and not run_folder(store, what).is_dir():
        return None  # nobody works on a run without it
    try:
        stack.enter_context(held_here(store, what))
        if isinstance(what, Run):
            stack.enter_context(being_pruned(store, what))
            if is_in_use(store, what):
                return _used(what)
    except ConfigError as error:
        return str(error)
    except OSError as error:
        if not may_not_write(error):  # too many open files, a broken disk: it may be held, and nobody knows
            raise StoreFaultError(f"whether {named(what)} is going on cannot be seen: {error}") from error
        # Somebody else's file, or a file system that takes no writing: the word is all there is.
        if isinstance(what, Run) and what.status == "running":
            return f"run {what.id} is going on: end it first"
    return None


def _allow_open_files(number: int) -> None:
    """Let this process have as many lock files open, and what it has open anyway. Raises ConfigError."""
    if sys.platform == "win32":
        return  # it has no such limit to raise
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + _OPEN_ANYWAY
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:  # above what the system allows
        raise ConfigError(
            f"{number} locks are to be held at once, and this process may have {max(soft, hard)} files open: raise "
            "that (`ulimit -n`), or delete fewer runs at a time (name them, or take another --keep or --older-than)"
        ) from error


def _delete(store: Store, runs: Sequence[Run]) -> dict[str, int]:
    deleted: dict[str, int] = {}
    run_ids, experiments = [run.id for run in runs], [run.experiment for run in runs if run.experiment]
    # SQLite checks references once, at the end: for each row it would look through every table that may refer to it.
    transaction = changing_schema if store.dialect == "sqlite" else writing
    try:
        with store.writing_alone(), transaction(store.engine) as connection:
            _refuse_needed(set(run_ids), _needed(connection.execute))  # nobody else writes from here on
            for table, condition in _conditions(run_ids):
                deleted[table.name] = connection.execute(delete(table).where(condition)).rowcount
            for table, unused in _unused(experiments):
                deleted[table.name] = connection.execute(delete(table).where(unused)).rowcount
            # A server that is started again from here on takes this transaction along, so what is held now was.
            store.require_held()
    except DBAPIError as error:
        raise StoreFaultError(f"the runs could not be deleted from {store.url!r}: {reason(error)}") from error
    return {name: number for name, number in sorted(deleted.items()) if number}


def compact(store: Store) -> None:
    """Give the disk back what deleted rows took, in SQLite; PostgreSQL does it by itself.

    Raises:
        StoreFaultError: Another process uses the file, or does the same, or there is no room for a second copy.
    """
    if store.dialect != "sqlite":
        return
    try:
        with word_index.made_anew_here(store.engine) as here, store.writing_alone():
            if not here:
                raise StoreFaultError(f"the store {store.url!r} is being compacted by another process: wait for it")
            with writing(store.engine) as connection:
                was_stale = word_index.is_stale(connection)
                word_index.mark(connection, stale=True)  # should this process die before it is made anew
            try:
                with store.engine.connect() as connection:
                    vacuum(connection)
            except StoreFaultError:
                if not was_stale:
                    with writing(store.engine) as connection:
                        word_index.mark(connection, stale=False)
                raise
            with writing(store.engine) as connection:
                word_index.index_again(connection)
    except DBAPIError as error:
        raise StoreFaultError(f"the store {store.url!r} could not be compacted: {reason(error)}") from error
    except OSError as error:
        raise StoreFaultError(f"the store {store.url!r} could not be compacted: {error}") from error


def _conditions(run_ids: Sequence[str]) -> list[tuple[Table, ColumnElement[bool]]]:
    """Which rows belong to runs, for each table of which any can; those that refer to others first."""
    found: list[tuple[Table, ColumnElement[bool]]] = []
    for table in reversed(TableModel.metadata.sorted_tables):
        if table.name == "run":
            found.append((table, table.c.id.in_(run_ids)))
        elif table in _THROUGH:
            name, owner, key = _THROUGH[table]
            owned = select(column_of(owner, key)).where(column_of(owner, "run_id").in_(run_ids))
            found.append((table, table.c[name].in_(owned)))
        elif table not in _SHARED:
            found.append((table, table.c.run_id.in_(run_ids)))
    return found


def _unused(experiments: Sequence[str]) -> list[tuple[Table, ColumnElement[bool]]]:
    used = or_(*(col(ExampleRow.id).in_(select(col(by.example_id))) for by in (RunExample, Dialogue, Preference)))
    said = select(col(Turn.template_hash)).where(col(Turn.template_hash).is_not(None))
    asked = or_(col(PromptTemplateRow.hash).in_(said), col(PromptTemplateRow.task).in_(select(col(Run.task))))
    sent = or_(
        *(
            col(PromptRow.hash).in_(select(col(by.prompt_hash)).where(col(by.prompt_hash).is_not(None)))
            for by in (Turn, Dialogue, LLMCall)
        )
    )
    # Of experiments that are held here alone: another may not have come to its first run yet.
    carried_out = col(ExperimentRow.name).in_(select(col(Run.experiment)).where(col(Run.experiment).is_not(None)))
    here = col(ExperimentRow.name).in_(experiments)
    return [
        (table_of(ExperimentRow), here & ~carried_out),
        (table_of(ExampleRow), ~used),
        (table_of(PromptTemplateRow), ~asked),
        (table_of(PromptRow), ~sent),
    ]
