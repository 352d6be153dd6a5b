import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from openmic.core.errors import StoreError
from openmic.store import Store, normalize_url
from openmic.store.admin.migrate import _SCRIPTS as SCRIPTS
from openmic.store.admin.migrate import current_revision, head, is_ours, migrate_store, migration_config, upgrade
from openmic.store.admin.verify import verify
from openmic.store.dialects.engine import changing_schema, writing, writing_engine
from openmic.store.schema import TableModel
from openmic.store.search.search import search

from ..rows import everything, example, run
from .later import PRESENT, add_revision


@pytest.fixture
def engine(address: str) -> Iterator[Engine]:
    """Of a database, of either kind, that holds nothing yet."""
    if "://" not in address:
        Path(address).parent.mkdir()
    engine = writing_engine(normalize_url(address))
    yield engine
    engine.dispose()


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables that hold any, Alembic's own and those of full-text search aside."""
    tables = [name for name in inspect(connection).get_table_names() if is_ours(name, "table")]
    rows = {
        name: [dict(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').mappings()]
        for name in tables
        if name != "alembic_version"
    }
    return {
        name: [{key: value for key, value in row.items() if is_ours(key, "column")} for row in found]
        for name, found in rows.items()
        if found
    }


def differences(connection: Connection) -> list[Any]:
    """What Alembic would change to make the schema that of the tables."""
    context = MigrationContext.configure(connection, opts={"include_name": is_ours, "compare_type": True})
    return list(compare_metadata(context, TableModel.metadata))


def set_revision(store: Store, revision: str) -> None:
    with writing(store._engine) as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_upgrading_makes_exactly_the_tables(engine: Engine) -> None:
    assert current_revision(engine) is None
    upgrade(engine)
    assert current_revision(engine) == head()
    with changing_schema(engine) as connection:
        command.check(migration_config(connection))
        assert differences(connection) == []
        checks = {c["name"] for c in inspect(connection).get_check_constraints("training_item")}
    assert checks == {"ck_training_item_one_source"}


def test_a_schema_that_was_changed_has_another_name() -> None:
    tables = sorted(TableModel.metadata.tables.values(), key=lambda table: table.name)
    made: list[CreateTable | CreateIndex] = [CreateTable(table) for table in tables]
    made += [CreateIndex(index) for table in tables for index in sorted(table.indexes, key=lambda one: str(one.name))]
    schema = "".join(str(one.compile(dialect=sqlite.dialect())) for one in made)
    name = hashlib.sha256(schema.encode()).hexdigest()[:8]
    assert head().endswith(f"_{name}"), f"let `revision` of the newest migration end with _{name}"


def test_the_comparison_would_see_a_difference(engine: Engine) -> None:
    upgrade(engine)
    with changing_schema(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE turn DROP COLUMN note")
        connection.exec_driver_sql("DROP INDEX ix_turn_created_at")
        found = differences(connection)
    assert {difference[0] for difference in found} == {"add_column", "add_index"}


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    upgrade(engine)
    assert current_revision(engine) == head()


def test_downgrading_takes_every_table_away_and_upgrading_brings_them_back(engine: Engine) -> None:
    upgrade(engine)
    with changing_schema(engine) as connection:
        command.downgrade(migration_config(connection), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    upgrade(engine)
    tables = {name for name in inspect(engine).get_table_names() if is_ours(name, "table")}
    assert tables == {*TableModel.metadata.tables, "alembic_version"}


def test_every_row_of_an_earlier_schema_is_kept(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    with Store.open(url) as store:
        store.add(run(), example(), *everything())
    with engine.connect() as connection:
        before = contents(connection)
    assert set(before) == set(TableModel.metadata.tables)
    add_revision(tmp_path, monkeypatch)
    saved = upgrade(engine)
    with engine.connect() as connection:
        after = contents(connection)
    assert {row.pop("mood") for row in after["run"]} == {None}
    assert after == before
    with Store.open(url) as store:
        assert {hit.turn.id for hit in search(store, "text 3")} == {"t3"}
        assert list(verify_references(store)) == []
    assert (saved is not None) == (engine.dialect.name == "sqlite")
    with changing_schema(engine) as connection:
        command.downgrade(migration_config(connection), PRESENT)
    with engine.connect() as connection:
        assert contents(connection) == before


def verify_references(store: Store) -> list[str]:
    """Faults beside those of hashes, which the rows of these tests make up."""
    hashes = {"content", "input", "template", "request", "prompt", "asked"}
    return [f"{fault.row} {fault.what}" for fault in verify(store) if fault.check not in hashes]


def test_an_older_file_is_backed_up_before_it_is_migrated(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(path)) as store:
        store.add(run(), example())
    add_revision(tmp_path, monkeypatch)
    path.with_name("store.before-0002.db").write_text("kept from an earlier day")
    Store.open(str(path)).close()
    assert {found.name for found in path.parent.glob("*.db")} == {
        "store.db",
        "store.before-0002.db",
        "store.before-0002-2.db",
    }
    saved = writing_engine(normalize_url(str(path.with_name("store.before-0002-2.db"))))
    assert current_revision(saved) == PRESENT
    with saved.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM run").scalars().all() == ["RUN1"]
    saved.dispose()
    Store.open(str(path)).close()
    assert len(list(path.parent.glob("*.db"))) == 3


def test_an_older_database_is_migrated_only_when_told(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(database).close()
    add_revision(tmp_path, monkeypatch)
    with pytest.raises(StoreError, match=rf"older schema '{PRESENT}'.*openmic db migrate --backup"):
        Store.open(database)
    engine = writing_engine(normalize_url(database))
    assert current_revision(engine) == PRESENT
    assert migrate_store(database) is None
    assert current_revision(engine) == head() == "0002"
    engine.dispose()
    Store.open(database).close()


MUTABLE = {"run", "dialogue", "adapter", "training", "evaluation"}


def test_no_row_of_a_table_that_never_changes_can_be_updated(store: Store) -> None:
    store.add(*everything())
    for table in TableModel.metadata.sorted_tables:
        same = next(column.name for column in table.columns if column.primary_key)
        statement = f'UPDATE "{table.name}" SET "{same}" = "{same}"'
        if table.name in MUTABLE:
            with writing(store.engine) as connection:
                assert connection.exec_driver_sql(statement).rowcount >= 1
        else:
            with (
                pytest.raises(IntegrityError, match=f"rows of {table.name} never change"),
                writing(store.engine) as connection,
            ):
                connection.exec_driver_sql(statement)


def test_a_migration_that_fails_leaves_nothing_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = Operations.create_table, []

    def create_some(self: Operations, name: str, *columns: Any, **options: Any) -> Any:
        if name == "turn":
            raise RuntimeError("the power went out")
        made.append(name)
        return create(self, name, *columns, **options)

    monkeypatch.setattr(Operations, "create_table", create_some)
    with pytest.raises(RuntimeError, match="power"):
        upgrade(engine)
    assert made
    assert inspect(engine).get_table_names() == []


def test_a_migration_that_leaves_dangling_references_is_undone(sqlite_store: Store) -> None:
    engine = sqlite_store._engine
    orphan = "INSERT INTO run_example (run_id, example_id, position, split, details) VALUES ('a', 'b', 0, 'dev', '{}')"
    with pytest.raises(StoreError, match="run_example"), changing_schema(engine) as connection:
        connection.exec_driver_sql(orphan)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run_example").scalar() == 0
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_new_columns_of_text_are_compared_by_code_points_too(database: str) -> None:
    with Store.open(database) as store, changing_schema(store._engine) as connection:
        connection.exec_driver_sql("ALTER TABLE turn ADD COLUMN mood varchar(16)")
    collated = text(
        "SELECT table_name, column_name, collation_name, character_maximum_length FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')"
    )
    with Store.open_readonly(database) as reader:
        columns: list[Any] = list(reader.rows(collated))  # type: ignore[arg-type]  # written by hand
    assert ("turn", "mood", "C", 16) in [tuple(row) for row in columns]
    assert {row[2] for row in columns} == {"C"}


def test_a_drafted_migration_uses_plain_types(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("0*.py", "__pycache__"))
    monkeypatch.setattr("openmic.store.admin.migrate._SCRIPTS", scripts)
    with changing_schema(engine) as connection:
        command.revision(migration_config(connection), "everything", autogenerate=True, rev_id="0001")
    drafted = (scripts / "versions" / "0001_everything.py").read_text()
    assert "sa.DateTime(timezone=True)" in drafted
    assert "sa.String(16)" in drafted
    assert "sqlmodel" not in drafted


def test_a_newer_store_is_refused(address: str) -> None:
    with Store.open(address) as store:
        set_revision(store, "9999")
    for opening in (Store.open, Store.open_readonly):
        with pytest.raises(StoreError, match=r"another version of openmic.*'9999'.*--store"):
            opening(address)


def test_an_older_store_is_not_read_before_it_is_migrated(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_revision(tmp_path, monkeypatch)
    with pytest.raises(StoreError, match="openmic db migrate"):
        Store.open_readonly(store.address)


def test_what_is_no_store_is_not_read(path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at.*openmic run.*--store"):
        Store.open_readonly(str(path))
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StoreError, match="not an openmic store"):
        Store.open_readonly(str(path))
    path.write_text("something else altogether, " * 100)
    with pytest.raises(StoreError, match=r"cannot be opened.*not a database"):
        Store.open_readonly(str(path))
    assert path.read_text().startswith("something else")
