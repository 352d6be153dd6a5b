"""A store in a PostgreSQL database: its engines, and telling beforehand whether it can be written.

It answers as SQLite does: text is compared by code points, whatever the database's locale, and a reading sees one state
of the store throughout. Not for what all databases share: that is in `engine`.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from ...core.errors import StoreError
from .location import shown_url

_CONNECTIONS = 32
"""The most connections of one process; PostgreSQL allows 100 in all unless it is told otherwise."""
_DEFAULTS = {"connect_timeout": 10, "keepalives_idle": 30, "application_name": "openmic"}
"""What an address does not say itself. A cluster's driver may be silent for as long as a training takes."""

HELD_BY = " by "
"""What stands in the name of a connection that holds something before the process that does."""
_HOLDER = text(
    "SELECT a.application_name FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND CAST(l.classid AS bigint) = :high AND CAST(l.objid AS bigint) = :low"
)
"""Who holds a lock on a number of 64 bits, which is listed by its two halves, without a sign."""


def writing_engine(url: str) -> Engine:
    """An engine over a normalized address that may write."""
    return _engine(url)


def reading_engine(url: str) -> Engine:
    """An engine over a normalized address through which nothing is written."""
    engine = _engine(url)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.read_only = True

    return engine


def snapshots(engine: Engine) -> Engine:
    """The engine for readings of several statements: all of them see the state there was at the first."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def connect_arguments(url: str) -> dict[str, Any]:
    """What psycopg is to be given to connect to a normalized address; holds the password."""
    address = _address(url)
    _, arguments = address.get_dialect()().create_connect_args(address)
    return {**_DEFAULTS, **arguments}


def check_server(url: str) -> None:
    """Make sure that a store can be opened, or made, in a database; creates nothing.

    Raises:
        StoreError: The server cannot be reached, or the database is not fit to be written; the message says why.
    """
    engine, shown = _engine(url), shown_url(url)
    schema = func.current_schema()
    facts = select(
        func.pg_is_in_recovery(),
        func.current_setting("server_encoding"),
        schema,
        func.has_schema_privilege(schema, "CREATE"),
    )
    try:
        with engine.connect() as connection:
            standby, encoding, found, may_create = connection.execute(facts).one()
    except DBAPIError as error:
        raise StoreError(
            f"the store {shown!r} cannot be reached: {reason(error)}; see that the server runs, that the database is "
            "there (createdb) and that the password is in PGPASSWORD or ~/.pgpass"
        ) from None
    finally:
        engine.dispose()
    if standby:
        raise StoreError(f"the store {shown!r} is on a standby server, which cannot be written: name the primary")
    if encoding != "UTF8":
        raise StoreError(f"the store {shown!r} is encoded in {encoding}: make a database with `createdb -E UTF8`")
    if not may_create:
        where = f"schema {found!r}" if found else "any schema of its search_path"
        raise StoreError(f"the store {shown!r} cannot be written: its user may not create tables in {where}")


@contextmanager
def changing_schema(connection: Connection) -> Iterator[None]:
    """Open the one schema-changing transaction a database may have; text compares by code points when it ends."""
    with connection.begin():
        connection.execute(select(func.pg_advisory_xact_lock(lock_key("schema"))))
        yield
        _compare_by_code_points(connection)


def holder(engine: Engine, what: str) -> str | None:
    """The process that holds something, on whichever machine; empty where it has no name, None where none does.

    It reads the server's list of locks: whoever took this one to look would keep it from its writer meanwhile.

    Raises:
        DBAPIError: The server cannot be asked.
    """
    key = lock_key(what) % 2**64
    with engine.connect() as connection:
        found = connection.execute(_HOLDER, {"high": key >> 32, "low": key % 2**32}).first()
    return None if found is None else str(found[0] or "").partition(HELD_BY)[2]


def reason(error: DBAPIError) -> str:
    """What the database said, in one line."""
    return " ".join(str(error.orig).split())


def _engine(url: str) -> Engine:
    address = _address(url)
    return create_engine(
        address,
        connect_args={name: value for name, value in _DEFAULTS.items() if name not in address.query},
        json_serializer=_searchable_json,
        max_overflow=_CONNECTIONS - 5,
        pool_pre_ping=True,  # a reply that was paid for is not lost to a connection that a firewall has dropped
    )


def _address(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def _compare_by_code_points(connection: Connection) -> None:
    """Have every text column that compares by a locale compare by code points, as SQLite and Python do.

    It runs after every change of the schema, so that no migration has to think of it.
    """
    columns = text(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation k ON k.oid = a.attcollation "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' "
        "AND a.attnum > 0 AND NOT a.attisdropped AND k.collname <> 'C' ORDER BY c.relname, a.attnum"
    )
    quote = connection.dialect.identifier_preparer.quote
    changes: dict[str, list[str]] = {}
    for table, column, kind in connection.execute(columns):
        changes.setdefault(table, []).append(f'ALTER COLUMN {quote(column)} TYPE {kind} COLLATE "C"')
    for table, changed in changes.items():
        connection.exec_driver_sql(f"ALTER TABLE {quote(table)} {', '.join(changed)}")


def lock_key(name: str) -> int:
    """A key for PostgreSQL's advisory locks, which are numbers of 64 bits."""
    return int.from_bytes(hashlib.sha256(f"openmic {name}".encode()).digest()[:8], "big", signed=True)


def _searchable_json(value: Any) -> str:
    """JSON that PostgreSQL can look into: a NUL or half a surrogate pair becomes `?`.

    It would take either, escaped, and then fail every query that reads any part of the value.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    if r"\u0000" in text:
        text = json.dumps(_without_nul(value), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "?")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value
