"""Bringing a store's schema up to date. The migrations are part of the package, in `migrations/versions`.

A new migration is drafted from the difference between a store at the present head and the tables:
`with changing_schema(engine) as c: alembic.command.revision(migration_config(c), "what changes", autogenerate=True)`.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from ..core.errors import StoreError
from . import lineage, tables
from .engine import changing_schema, place_of
from .schema import Row

_SCRIPTS = Path(__file__).parent / "migrations"
# Row.metadata knows a table once its module is imported.
assert {lineage.Adapter.metadata, tables.Run.metadata} == {Row.metadata}


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for working on a connection that is in a transaction; Alembic leaves the commit to us."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = Row.metadata
    return config


def head() -> str:
    """The schema revision that this version of openmic writes."""
    revision = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    assert revision is not None, "the package was built without its migrations"
    return revision


def current_revision(engine: Engine) -> str | None:
    """The schema revision of a store; None where it has no schema yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> None:
    """Bring the schema to the head, in one transaction: all of it or nothing.

    Raises:
        StoreError: The store was written by a newer openmic, or the database is another program's.
    """
    current = current_revision(engine)
    if current == head():
        return
    if current is not None:
        _require_known(engine, current)
    with changing_schema(engine) as connection:
        present = set(inspect(connection).get_table_names())
        if present and "alembic_version" not in present:
            raise StoreError(
                f"the database {place_of(engine)!r} is another program's (it holds {min(present)!r}): name another "
                "with --store"
            )
        command.upgrade(migration_config(connection), "head")


def require_head(engine: Engine) -> None:
    """Make sure that a store can be read as it is.

    Raises:
        StoreError: Its schema is older or newer than this openmic's, or it is no store at all.
    """
    current = current_revision(engine)
    if current is None:
        raise StoreError(f"{place_of(engine)!r} is not an openmic store: name another with --store")
    _require_known(engine, current)
    if current != head():
        raise StoreError(
            f"the store {place_of(engine)!r} has the older schema {current!r}: run `openmic db migrate` first"
        )


def _require_known(engine: Engine, revision: str) -> None:
    known = {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}
    if revision not in known:
        raise StoreError(
            f"the store {place_of(engine)!r} has the schema {revision!r}, and this openmic knows none beyond "
            f"{head()!r}: update openmic, or name another store with --store"
        )
