"""Engines over a store's database, and everything about them that is particular to one kind of database.

SQLite in WAL mode: one writer at a time, and readers that neither wait for it nor hold it up. All SQL that is not
portable is in this file. Not for opening a store: that is `Store.open`, which also sees to the schema.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..core.errors import StoreError
from .location import sqlite_path

# PostgreSQL takes no NaN or Infinity in JSON, so neither does SQLite.
_strict_json = partial(json.dumps, allow_nan=False)

_BUSY_TIMEOUT_MS = 15_000
"""How long a write waits for another process that is writing."""


def writing_engine(url: str) -> Engine:
    """An engine over a normalized address that may write, with foreign keys enforced. The file is created when used.

    Raises:
        StoreError: It is not the address of a SQLite database; on connecting, where the file system has no WAL.
    """
    path = sqlite_path(url)
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1, json_serializer=_strict_json)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        _take_transactions_over(connection)
        if _write_ahead_log(connection) != "wal":
            raise StoreError(f"the store {str(path)!r} cannot keep a write-ahead log there: keep it on a local disk")
        # NORMAL loses nothing when the process dies, and at most the last commits when the power does; never corrupts.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    _begin_explicitly(engine)
    return engine


def reading_engine(url: str) -> Engine:
    """An engine over a normalized address that cannot write, whatever is sent through it. The file must exist."""
    # The path is quoted as part of SQLite's own `file:` address, which lies inside SQLAlchemy's.
    address = URL.create("sqlite", database=f"file:{quote(str(sqlite_path(url)))}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(address, max_overflow=-1, json_serializer=_strict_json)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        _take_transactions_over(connection)
        connection.execute("PRAGMA query_only=ON")

    _begin_explicitly(engine)
    return engine


def place_of(engine: Engine) -> str:
    """Where an engine's database is, for a message."""
    place = engine.url.database or ""
    return unquote(place.removeprefix("file:")) if place.startswith("file:") else place


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection inside a transaction that holds the write lock from its start; committed when the block ends well.

    Taking the lock at the start is what makes reading and then writing safe: a transaction that began by reading and
    then finds another writer ahead of it is refused by SQLite without waiting.
    """
    with engine.connect().execution_options(openmic_writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def changing_schema(engine: Engine) -> Iterator[Connection]:
    """Like `writing`, with foreign keys unchecked until the end, since SQLite alters a table by replacing it.

    Raises:
        StoreError: The change left references to rows that do not exist; nothing of it is kept.
    """
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            yield connection
        return
    with engine.connect().execution_options(openmic_writes=True) as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")  # has no effect once a transaction has begun
        try:
            with connection.begin():
                yield connection
                if dangling := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone():
                    raise StoreError(f"table {dangling[0]!r} refers to rows missing from {dangling[2]!r}: not migrated")
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def insert_unless_present(table: Table, dialect: str) -> Insert:
    """An INSERT that passes over rows whose primary key exists; any other conflict is an error as ever."""
    insert = sqlite_insert(table) if dialect == "sqlite" else postgresql_insert(table)
    return insert.on_conflict_do_nothing(index_elements=list(table.primary_key.columns))


def _take_transactions_over(connection: sqlite3.Connection) -> None:
    # sqlite3 by itself begins no transaction before a SELECT or a change of schema, so neither would be in one.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")


def _write_ahead_log(connection: sqlite3.Connection) -> str:
    """Turn the write-ahead log on; returns the journal mode there is afterwards."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            # The busy timeout does not apply here: of two that open a new store at once, one is refused outright.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _begin_explicitly(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("openmic_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
