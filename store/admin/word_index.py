"""SQLite's index of words, made anew where it knows rows by numbers that they no longer have.

VACUUM is free to give rows other numbers, and cannot be in one transaction with what follows. So the file is marked
before it, and whoever opens it next after a death in between sees that. PostgreSQL keeps its index itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text

from ...core.files.private import FILE
from ..dialects.engine import writing

SEARCHED = {"turn": ("content", "run_id"), "example": ("text",)}
"""Tables with full-text search."""


def is_stale(connection: Connection) -> bool:
    """Whether the index is to be made anew before it can be relied on."""
    return bool(connection.exec_driver_sql("PRAGMA user_version").scalar())


def mark(connection: Connection, *, stale: bool) -> None:
    """Note, in the transaction there is, that the index is stale, or is not."""
    connection.exec_driver_sql(f"PRAGMA user_version={int(stale)}")  # of the file's header, and used for nothing else


def index_again(connection: Connection) -> None:
    """Make the index anew, in the transaction there is."""
    for table, columns in SEARCHED.items():
        words, named = ", ".join(f"openmic_words({name})" for name in columns), ", ".join(columns)
        index, rows = f"{table}_words", f"SELECT rowid, {words} FROM {table}"  # noqa: S608 - constants
        connection.execute(text(f"INSERT INTO {index} ({index}) VALUES ('delete-all')"))  # noqa: S608 - constants
        connection.execute(text(f"INSERT INTO {index} (rowid, {named}) {rows}"))
    mark(connection, stale=False)


def mend(engine: Engine) -> None:
    """Make a stale index anew, unless another process is about to; hardly more than a look where it is not."""
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        if not is_stale(connection):
            return
    with made_anew_here(engine) as here:
        if not here:
            return
        with writing(engine) as connection:
            if is_stale(connection):  # another process may have done it just before
                index_again(connection)


@contextmanager
def made_anew_here(engine: Engine) -> Iterator[bool]:
    """Be the one process that makes a file's index anew, from the mark to the end.

    Gives whether this is it; another may be.

    Raises:
        OSError: On entering: no file may be written beside the store's.
    """
    lock = FileLock(f"{engine.url.database}.compacted", mode=FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
