"""A store as a database: its schema, its size, and how many rows its tables hold."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from ...core.errors import StoreError, StoreFaultError
from ..dialects.engine import reading_engine
from ..dialects.location import is_postgresql, normalize_url, shown_url, sqlite_path
from ..dialects.postgresql import reason
from ..schema import TableModel
from .migrate import current_revision, head


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What `openmic db status` shows."""

    store: str
    revision: str
    """Of its schema."""
    head: str
    """The revision that this openmic writes."""
    bytes: int
    """Of the database; on SQLite with its write-ahead log."""
    free_bytes: int | None
    """Of pages that hold nothing any more; None where the database does not tell."""
    rows: dict[str, int]
    """By table; tables that the store's schema does not have yet are left out."""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def store_facts(url: str) -> StoreFacts:
    """The facts of a store, whatever the revision of its schema; changes nothing.

    Raises:
        StoreError: There is no such store, or it cannot be read.
    """
    url = normalize_url(url)
    if not is_postgresql(url) and not (path := sqlite_path(url)).is_file():
        raise StoreError(f"no store at {str(path)!r}: run `openmic run` first, or name one with --store")
    engine = reading_engine(url)
    try:
        revision = current_revision(engine)
        if revision is None:
            raise StoreError(f"{shown_url(url)!r} is not an openmic store: name another with --store")
        with engine.connect() as connection:
            present = set(inspect(connection).get_table_names())
            tables = [table for table in TableModel.metadata.sorted_tables if table.name in present]
            rows = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
            }
            size, free = (_postgresql_size if is_postgresql(url) else _sqlite_size)(connection, url)
    except DBAPIError as error:
        raise StoreFaultError(f"the store {shown_url(url)!r} cannot be read: {reason(error)}") from error
    finally:
        engine.dispose()
    return StoreFacts(shown_url(url), revision, head(), size, free, rows)


def _sqlite_size(connection: Connection, url: str) -> tuple[int, int]:
    path = sqlite_path(url)
    files = (path, path.with_name(f"{path.name}-wal"))
    page, unused = (connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("page_size", "freelist_count"))
    return sum(file.stat().st_size for file in files if file.exists()), page * unused


def _postgresql_size(connection: Connection, _url: str) -> tuple[int, None]:
    return connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one(), None
