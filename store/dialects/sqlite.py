"""A store in a SQLite file: its engines, and telling before anything is spent whether the file can be written.

In WAL mode: one writer at a time, and readers that neither wait for it nor hold it up. Not for other databases, nor for
what all of them share: that is in `engine`.
"""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from ...core.errors import StoreError, StoreFaultError
from ..search.words import indexed_words
from .location import sqlite_path

_MOUNTS = Path("/proc/mounts")
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs"}
    | {"fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)
_CACHE_KIB = 64 * 1024
"""Pages that a writer keeps: ids are hashes, so every index of them is written to all over."""
_CHECKPOINT_PAGES = 16_000
"""How long the write-ahead log gets before it is brought into the file, some 64 MB: a page that is written to many
times in the meantime is brought there once."""
_LOG_BYTES = 4 * 1024 * 1024
"""What is left of the log where it could be brought into the file as a whole; it grows again as it is needed."""
_BUSY_TIMEOUT_MS = 15_000
"""How long a write waits for another process that is writing, where nobody says for how long."""
_strict_json = json.JSONEncoder(allow_nan=False).encode
"""PostgreSQL takes no NaN or Infinity in JSON, so neither does SQLite."""


def check_file(path: Path) -> None:
    """Make sure that a store can be opened, or created, at a path; creates nothing.

    Raises:
        StoreError: It cannot; the message says why, and what to do.
    """
    folder = path.resolve().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise StoreError(f"the store {str(path)!r} cannot be created: {str(folder)!r} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        # SQLite keeps its write-ahead log beside the file, so a writable file alone does not do.
        raise StoreError(f"the store {str(path)!r} cannot be written: no permission to write in {str(folder)!r}")
    if path.is_dir():
        raise StoreError(f"the store {str(path)!r} is a folder: name a file in it, such as {str(path / 'store.db')!r}")
    if path.exists():
        _check_present(path)
    kind = file_system(folder, _MOUNTS.read_text(errors="replace") if _MOUNTS.exists() else "")
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"the store {str(path)!r} would lie on a network file system ({kind}), where SQLite's write-ahead log does "
            "not work: keep the store on a local disk, or in PostgreSQL"
        )


def file_system(path: Path, mounts: str) -> str | None:
    """The type of the file system that an absolute path lies on, by a table in the format of /proc/mounts."""
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount_point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[1]))
        # The deepest mount holds the path; of two at one place, the later covers the earlier.
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= best[0]:
            best = (len(mount_point.parts), fields[2])
    return best[1]


def writing_engine(url: str) -> Engine:
    """An engine over a file that may write, with foreign keys enforced. The file is created when used.

    Raises:
        StoreError: It is not the address of a SQLite database; on connecting, where the file system has no WAL.
    """
    path = sqlite_path(url)
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1, json_serializer=_strict_json)
    # Many rows in a statement: between two statements another thread takes its turn.
    engine.dialect.use_insertmanyvalues_wo_returning = True

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        _take_transactions_over(connection)
        _know_words(connection)
        if _write_ahead_log(connection) != "wal":
            raise StoreError(f"the store {str(path)!r} cannot keep a write-ahead log there: keep it on a local disk")
        # NORMAL loses nothing when the process dies, and at most the last commits when the power does; never corrupts.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        connection.execute("PRAGMA foreign_keys=ON")

    _begin_explicitly(engine)
    return engine


def reading_engine(url: str) -> Engine:
    """An engine over a file that cannot write, whatever is sent through it. The file must exist.

    It may lie in a folder, or on a disk, that takes no writes.
    """
    # The path is quoted as part of SQLite's own `file:` address, which lies inside SQLAlchemy's.
    path, query = sqlite_path(url), {"mode": "ro", "uri": "true"}
    options: dict[str, Any] = {"max_overflow": -1}
    if _lies_still(path):
        query, options = query | {"immutable": "1"}, {"poolclass": NullPool}
    address = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    engine = create_engine(address, json_serializer=_strict_json, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        _take_transactions_over(connection)
        _know_words(connection)  # else what cannot be written is refused for the want of it
        connection.execute("PRAGMA query_only=ON")

    _begin_explicitly(engine)
    return engine


def _lies_still(path: Path) -> bool:
    """Whether a file lies where SQLite cannot keep its log, and nobody has it open to write.

    It is then read as a file that never changes; each connection is a new one, so that none reads on past a change.
    """
    log = Path(f"{path}-wal")
    return path.is_file() and not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)


@contextmanager
def foreign_keys_unchecked(connection: Connection) -> Iterator[None]:
    """A transaction at whose end alone foreign keys are checked, since SQLite alters a table by replacing it.

    Raises:
        StoreError: References to rows that do not exist were left; nothing of the transaction is kept.
    """
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # has no effect once a transaction has begun
    try:
        with connection.begin():
            yield
            if dangling := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone():
                raise StoreFaultError(
                    f"table {dangling[0]!r} would refer to rows missing from {dangling[2]!r}: nothing was changed"
                )
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def empty_log(connection: Connection) -> None:
    """Bring the write-ahead log into the file and make it empty.

    Not while somebody still reads an older state, nor where the disk has no room for it: the log keeps what it holds.
    """
    driver: Any = connection.connection.driver_connection  # SQLAlchemy would begin a transaction
    with suppress(sqlite3.Error):
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def vacuum(connection: Connection) -> None:
    """Write the file anew without its empty pages.

    Raises:
        StoreFaultError: Another process uses it, or there is no room for a second copy.
    """
    driver: Any = connection.connection.driver_connection  # SQLAlchemy would begin a transaction
    try:
        driver.execute("VACUUM")
    except sqlite3.Error as error:
        raise StoreFaultError(
            f"the store {connection.engine.url.database!r} was not made smaller: {error}; what was deleted makes room "
            "for what is stored next"
        ) from error


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"the store {str(path)!r} is not a regular file: name another")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"the store {str(path)!r} is read-only: change its permissions, or name another with --store")
    # By SQLite, never by ourselves: closing a file gives up every lock that this process has on it (POSIX), also those
    # of its other connections. Whoever closed the file next would take the log away that they still write to.
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:  # what else is wrong with it is told as it is opened
            raise StoreError(f"the store {str(path)!r} is not a SQLite database: name another with --store") from error


def _take_transactions_over(connection: sqlite3.Connection) -> None:
    # sqlite3 by itself begins no transaction before a SELECT or a change of schema, so neither would be in one.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")


def _know_words(connection: sqlite3.Connection) -> None:
    """Give a connection the function by which the triggers of texts feed their index."""
    connection.create_function("openmic_words", 1, indexed_words, deterministic=True)


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
        options = connection.get_execution_options()
        writes = options.get("openmic_writes", False)
        if writes:
            wait = options.get("openmic_wait_ms", _BUSY_TIMEOUT_MS)
            if connection.info.get("openmic_wait_ms") != wait:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={wait}")
                connection.info["openmic_wait_ms"] = wait
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
