"""Bringing a store's schema up to date. The migrations are part of the package, in `migrations/versions`.

A new migration is drafted from the difference between a store at the present head and the tables:
`with changing_schema(engine) as c: alembic.command.revision(migration_config(c), "what changes", autogenerate=True)`.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from ...core.errors import StoreError, StoreFaultError
from ..dialects.engine import changing_schema, place_of, writing_engine
from ..dialects.location import normalize_url
from ..dialects.postgresql import reason
from ..schema import TableModel
from ..tables import annotation as annotations
from ..tables import training as lineage
from ..tables import transcript as tables
from . import word_index
from .backup import back_up_beside

if TYPE_CHECKING:  # Alembic takes longer to import than a store to be read
    from alembic.config import Config

_SCRIPTS = Path(__file__).parents[1] / "migrations"
# TableModel.metadata knows a table once its module is imported.
assert {annotations.Annotation.metadata, lineage.Adapter.metadata, tables.Run.metadata} == {TableModel.metadata}
_SEARCH = {
    "table": re.compile(r"(turn|example)_words(_\w+)?"),
    "column": re.compile("words"),
    "index": re.compile("ix_(turn|example)_words"),
}
"""FTS5's tables on SQLite, and columns with their indexes on PostgreSQL."""
_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*= *(?:[\"']([^\"'\n]+)[\"']|None)", re.MULTILINE)


def migration_config(connection: Connection) -> "Config":
    """Alembic's configuration for working on a connection that is in a transaction; Alembic leaves the commit to us."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = TableModel.metadata
    config.attributes["include_name"] = is_ours
    return config


def is_ours(name: str | None, kind: str, _parents: object = None) -> bool:
    """Whether Alembic shall compare a thing of the database with the tables: not what full-text search is made of."""
    return name is None or not _SEARCH[kind].fullmatch(name) if kind in _SEARCH else True


def head() -> str:
    """The schema revision that this version of openmic writes."""
    return _revisions(_SCRIPTS)[0]


@cache
def _revisions(scripts: Path) -> tuple[str, ...]:
    """The schema revisions that there are scripts for, the newest first; read here, as Alembic executes each file."""
    after: dict[str | None, str] = {}
    for script in (scripts / "versions").glob("*.py"):
        named = {bool(down): name or None for down, name in _REVISION.findall(script.read_text(encoding="utf-8"))}
        if (revision := named.get(False)) is not None:
            after[named[True]] = revision
    revisions = list[str]()
    while (following := after.get(revisions[-1] if revisions else None)) is not None:
        revisions.append(following)
    assert revisions, "the package was built without its migrations"
    return tuple(reversed(revisions))


def current_revision(engine: Engine) -> str | None:
    """The schema revision of a store; None where it has no schema yet."""
    with engine.connect() as connection:
        return _revision_of(connection)


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def upgrade(engine: Engine) -> Path | None:
    """Bring the schema to the head, in one transaction: all of it or nothing. A file is backed up before it changes.

    A file's index of words is made anew where `compact` was ended before it could do so.

    Returns:
        The backup's path, where there was anything to back up: `NAME.before-REVISION.db` beside the store. A database
        of PostgreSQL's is not backed up: that is for `openmic db migrate`.

    Raises:
        StoreError: The store was made by another version of openmic, the database is another program's, or the
            backup cannot be written.
    """
    if current_revision(engine) == head():
        word_index.mend(engine)
        return None
    saved = None
    with changing_schema(engine) as connection:
        present = set(inspect(connection).get_table_names())
        if present and "alembic_version" not in present:
            raise StoreError(
                f"the database {place_of(engine)!r} is another program's (it holds {min(present)!r}): name another "
                "with --store"
            )
        # Another process may have migrated it while this one waited.
        current = _revision_of(connection)
        if current is not None:
            _require_known(engine, current)
            if current != head() and engine.dialect.name == "sqlite":
                saved = back_up_beside(Path(place_of(engine)), f"before-{head()}")
        from alembic import command

        command.upgrade(migration_config(connection), "head")
    return saved


def migrate_store(url: str) -> Path | None:
    """`upgrade` the store at an address; returns where a file was backed up.

    Raises:
        StoreError: As for `upgrade`, or the database refused it.
    """
    engine = writing_engine(normalize_url(url))
    try:
        return upgrade(engine)
    except DBAPIError as error:
        raise StoreFaultError(f"the store {place_of(engine)!r} cannot be migrated: {reason(error)}") from error
    finally:
        engine.dispose()


def require_not_older(engine: Engine) -> None:
    """Make sure that a database of PostgreSQL's needs no migration, which is not to come as a surprise.

    Raises:
        StoreError: It does; the message says how to back it up and to migrate it.
    """
    current = current_revision(engine)
    if current is not None and current != head() and engine.dialect.name == "postgresql":
        _require_known(engine, current)
        raise StoreError(
            f"the store {place_of(engine)!r} has the older schema {current!r}: `openmic db migrate --backup FILE` "
            "backs it up with pg_dump and brings it up to date; end other runs on it first"
        )


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
    if revision not in _revisions(_SCRIPTS):
        raise StoreError(
            f"the store {place_of(engine)!r} was made by another version of openmic: its schema is {revision!r}, and "
            f"this one knows {', '.join(map(repr, _revisions(_SCRIPTS)))}; use that version, or name another store "
            "with --store"
        )
