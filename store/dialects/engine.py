"""Engines over a store's database, whichever kind it is, and transactions on them.

What is particular to one kind is in `sqlite` and `postgresql`; what SQL cannot say portably is in those and here. Not
for opening a store: that is `Store.open`, which also sees to the schema.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, Insert, Table

from . import holding, postgresql, sqlite
from .holding import Hold
from .location import is_postgresql, normalize_url, shown_url, sqlite_path


def check_writable(url: str) -> None:
    """Make sure that a store can be opened, or created, at an address; creates nothing.

    Raises:
        StoreError: It cannot; the message says why, and what to do.
    """
    url = normalize_url(url)
    if is_postgresql(url):
        postgresql.check_server(url)
    else:
        sqlite.check_file(sqlite_path(url))


def writing_engine(url: str) -> Engine:
    """An engine over a normalized address that may write, with foreign keys enforced.

    Raises:
        StoreError: It is the address of neither SQLite nor PostgreSQL.
    """
    return postgresql.writing_engine(url) if is_postgresql(url) else sqlite.writing_engine(url)


def reading_engine(url: str) -> Engine:
    """An engine over a normalized address that cannot write, whatever is sent through it. The database must exist."""
    return postgresql.reading_engine(url) if is_postgresql(url) else sqlite.reading_engine(url)


def snapshots(engine: Engine) -> Engine:
    """An engine over the same connections whose every transaction sees one state of the store."""
    return postgresql.snapshots(engine) if engine.dialect.name == "postgresql" else engine


def sole_writer(engine: Engine, held: Sequence[str]) -> AbstractContextManager[Hold | None]:
    """Hold something for this process where others on other machines could take it up; None where none could.

    Raises:
        ConfigError: On entering: another process holds some of it.
    """
    # A file of SQLite's is on one machine, where a lock file does.
    return holding.sole_writer(engine, held) if engine.dialect.name == "postgresql" else nullcontext()


def place_of(engine: Engine) -> str:
    """Where an engine's database is, for a message."""
    if engine.dialect.name == "postgresql":
        return shown_url(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    place = engine.url.database or ""
    return unquote(place.removeprefix("file:")) if place.startswith("file:") else place


def file_of(engine: Engine) -> Path | None:
    """The file that an engine's database is; None where a server has it."""
    return Path(place_of(engine)) if engine.dialect.name == "sqlite" else None


@contextmanager
def writing(engine: Engine, *, wait_ms: int | None = None) -> Iterator[Connection]:
    """A connection inside a transaction, committed when the block ends well.

    `wait_ms` is how long it waits for another process that is writing; by default as long as any write does.

    On SQLite it holds the write lock from its start, which makes reading and then writing safe: a transaction that
    began by reading and then finds another writer ahead of it is refused there without waiting.
    """
    options = {"openmic_writes": True} | ({} if wait_ms is None else {"openmic_wait_ms": wait_ms})
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def changing_schema(engine: Engine) -> Iterator[Connection]:
    """Like `writing`, for a change of the schema: one at a time, and all of it or nothing.

    Raises:
        StoreError: The change left references to rows that do not exist; nothing of it is kept.
    """
    change = postgresql.changing_schema if engine.dialect.name == "postgresql" else sqlite.foreign_keys_unchecked
    with engine.connect().execution_options(openmic_writes=True) as connection, change(connection):
        yield connection


@cache  # a statement that is used again is not put together and looked up again
def insert_unless_present(table: Table, dialect: str) -> Insert:
    """An INSERT that passes over rows whose primary key exists; any other conflict is an error as ever."""
    keys = list(table.primary_key.columns)
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table).on_conflict_do_nothing(index_elements=keys)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # of no use to others, and slow to import

    return postgresql_insert(table).on_conflict_do_nothing(index_elements=keys)
