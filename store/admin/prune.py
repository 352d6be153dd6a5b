"""Deleting whole runs, with everything that belongs to them and nothing that others need."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, col

from ...core.errors import ConfigError, StoreFaultError
from ..dialects.engine import changing_schema, writing
from ..dialects.postgresql import reason
from ..dialects.sqlite import vacuum
from ..liveness import live_status
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
from .migrate import SEARCHED

_THROUGH: dict[Table, tuple[str, type[SQLModel], str]] = {
    table_of(BallotRow): ("turn_id", Turn, "id"),
    table_of(CritiqueRow): ("turn_id", Turn, "id"),
    table_of(TrainingMetric): ("training_id", Training, "id"),
    table_of(EvaluationItem): ("evaluation_id", Evaluation, "id"),
}
"""How rows without a run of their own belong to one: by which column, of which table."""
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
        The latest first. Without `runs`, those that go on, and those that a run that stays needs, are left.

    Raises:
        ConfigError: A given run is going on, or a run that would stay needs what it made.
    """
    every = reader.select(Run, order_by="-created_at")
    needed = _needed(reader)
    if runs:
        chosen = {run.id for run in runs}
        for run in runs:
            if live_status(reader, run) == "running":
                raise ConfigError(f"run {run.id} is going on: end it first")
            staying = [other.id for other in every if other.id in needed.get(run.id, ()) and other.id not in chosen]
            if staying:
                raise ConfigError(f"run {staying[0]} works with what run {run.id} made: name both, or neither")
        return [run for run in every if run.id in chosen]
    old = [run for run in every[keep or 0 :] if before is None or run.created_at < before]
    chosen = {run.id for run in old if live_status(reader, run) != "running"}
    while kept := {run_id for run_id in chosen if needed.get(run_id, frozenset()) - chosen}:
        chosen -= kept
    return [run for run in every if run.id in chosen]


def _needed(reader: Reader) -> dict[str, set[str]]:
    """By the run, the runs that need its transcripts or adapters."""
    taken_from = column_of(Training, "metrics")["taken_from"].as_string()
    ties = (col(Run.id), col(Run.source_run_id)), (col(Run.id), col(Run.reuses)), (col(Training.run_id), taken_from)
    found: dict[str, set[str]] = {}
    for needs, needed in ties:
        for row in reader.rows(select(needs, needed).where(needed.is_not(None))):
            found.setdefault(row[1], set()).add(row[0])
    return found


def belonging(reader: Reader, run_ids: Sequence[str]) -> dict[str, int]:
    """How many rows of each table belong to runs; tables of which none do are left out."""
    counts = {
        table.name: reader.rows(select(func.count()).select_from(table).where(condition))[0][0]
        for table, condition in _conditions(run_ids)
    }
    return {name: number for name, number in sorted(counts.items()) if number}


def prune(store: Store, run_ids: Sequence[str]) -> dict[str, int]:
    """Delete runs with all that belongs to them, and inputs and prompts that nothing uses any more.

    All of it or nothing. The space is free for new rows afterwards; `compact` gives it back to the disk.

    Returns:
        How many rows were deleted, by table.

    Raises:
        StoreFaultError: What stays refers to what would be deleted, or the store cannot be written.
    """
    deleted: dict[str, int] = {}
    # SQLite checks references once, at the end: for each row it would look through every table that may refer to it.
    transaction = changing_schema if store.dialect == "sqlite" else writing
    try:
        with store.writing_alone(), transaction(store.engine) as connection:
            for table, condition in _conditions(run_ids):
                deleted[table.name] = connection.execute(delete(table).where(condition)).rowcount
            for table, unused in _unused():
                deleted[table.name] = connection.execute(delete(table).where(unused)).rowcount
    except DBAPIError as error:
        raise StoreFaultError(f"the runs could not be deleted from {store.url!r}: {reason(error)}") from error
    return {name: number for name, number in sorted(deleted.items()) if number}


def compact(store: Store) -> None:
    """Give the disk back what deleted rows took, in SQLite; PostgreSQL does it by itself.

    Raises:
        StoreFaultError: Another process uses the file, or there is no room for a second copy.
    """
    if store.dialect != "sqlite":
        return
    try:
        with store.writing_alone(), store.engine.connect() as connection:
            vacuum(connection)
        with store.writing_alone(), writing(store.engine) as connection:
            _index_again(connection)
    except DBAPIError as error:
        raise StoreFaultError(f"the store {store.url!r} could not be compacted: {reason(error)}") from error


def _index_again(connection: Connection) -> None:
    # The index knows rows by their numbers, which VACUUM is free to change.
    for table, columns in SEARCHED.items():
        words, named = ", ".join(f"openmic_words({name})" for name in columns), ", ".join(columns)
        index, rows = f"{table}_words", f"SELECT rowid, {words} FROM {table}"  # noqa: S608 - constants
        connection.execute(text(f"INSERT INTO {index} ({index}) VALUES ('delete-all')"))  # noqa: S608 - constants
        connection.execute(text(f"INSERT INTO {index} (rowid, {named}) {rows}"))


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


def _unused() -> list[tuple[Table, ColumnElement[bool]]]:
    used = or_(*(col(ExampleRow.id).in_(select(col(by.example_id))) for by in (RunExample, Dialogue, Preference)))
    said = select(col(Turn.template_hash)).where(col(Turn.template_hash).is_not(None))
    asked = or_(col(PromptTemplateRow.hash).in_(said), col(PromptTemplateRow.task).in_(select(col(Run.task))))
    sent = or_(
        *(
            col(PromptRow.hash).in_(select(col(by.prompt_hash)).where(col(by.prompt_hash).is_not(None)))
            for by in (Turn, Dialogue, LLMCall)
        )
    )
    carried_out = col(ExperimentRow.name).in_(select(col(Run.experiment)).where(col(Run.experiment).is_not(None)))
    return [
        (table_of(ExperimentRow), ~carried_out),
        (table_of(ExampleRow), ~used),
        (table_of(PromptTemplateRow), ~asked),
        (table_of(PromptRow), ~sent),
    ]
