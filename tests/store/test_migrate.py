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

from openmic.core.errors import StoreError
from openmic.store import Store, normalize_url
from openmic.store.engine import changing_schema, writing, writing_engine
from openmic.store.migrate import _SCRIPTS as SCRIPTS
from openmic.store.migrate import current_revision, head, migration_config, upgrade
from openmic.store.schema import Row


@pytest.fixture
def engine(address: str) -> Iterator[Engine]:
    """Of a database, of either kind, that holds nothing yet."""
    if "://" not in address:
        Path(address).parent.mkdir()
    engine = writing_engine(normalize_url(address))
    yield engine
    engine.dispose()


AT = "2025-01-01 00:00:00.000000"
FIRST_ROWS = (
    'INSERT INTO run (id, name, task, task_hash, status, "cast", config, config_hash, arguments, seed, packages, home, '
    "created_at) VALUES "
    f"('R', 'n', 'humor', 't', 'finished', '{{}}', '{{\"a\": 1}}', 'c', '[]', 7, '{{}}', 'h', '{AT}')",
    "INSERT INTO example (id, text) VALUES ('e', 'I am late')",
    "INSERT INTO run_example (run_id, example_id, position, split) VALUES ('R', 'e', 0, 'train')",
    "INSERT INTO dialogue (id, run_id, stage, round, example_id, replica, status, started_at) VALUES "
    f"('d', 'R', 'rehearse', 1, 'e', 0, 'finished', '{AT}')",
    "INSERT INTO training (id, run_id, stage, round, objective, parent_version, adapter_version, status, config, seed, "
    "examples, metrics, started_at) VALUES "
    f"('x', 'R', 'round', 1, 'dpo', 1, 2, 'finished', '{{}}', 3, 1, '{{}}', '{AT}')",
)
"""What a store of the first schema may hold."""


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables that hold any, Alembic's own aside, and of those that are new."""
    tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
    rows = {
        name: [dict(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').mappings()] for name in tables
    }
    return {name: found for name, found in rows.items() if found or name == "ballot"}


def set_revision(store: Store, revision: str) -> None:
    with writing(store._engine) as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_upgrading_makes_exactly_the_tables(engine: Engine) -> None:
    assert current_revision(engine) is None
    upgrade(engine)
    assert current_revision(engine) == head()
    with changing_schema(engine) as connection:
        command.check(migration_config(connection))
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
        checks = {c["name"] for c in inspect(connection).get_check_constraints("training_item")}
    assert checks == {"ck_training_item_one_source"}


def test_the_comparison_would_see_a_difference(engine: Engine) -> None:
    upgrade(engine)
    with changing_schema(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE turn DROP COLUMN note")
        connection.exec_driver_sql("DROP INDEX ix_turn_run_id")
        differences = compare_metadata(MigrationContext.configure(connection), Row.metadata)
    assert {difference[0] for difference in differences} == {"add_column", "add_index"}


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
    assert set(inspect(engine).get_table_names()) == {*Row.metadata.tables, "alembic_version"}


def test_every_row_of_the_first_schema_is_kept(engine: Engine) -> None:
    with changing_schema(engine) as connection:
        command.upgrade(migration_config(connection), "0001")
    with writing(engine) as connection:
        for statement in FIRST_ROWS:
            connection.exec_driver_sql(statement)
        before = contents(connection)
    upgrade(engine)
    with engine.connect() as connection:
        after = contents(connection)
    assert set(after) - set(before) == {"ballot"}
    for table, rows in before.items():
        assert rows
        new = set(after[table][0]) - set(rows[0])
        assert [{name: value for name, value in row.items() if name not in new} for row in after[table]] == rows
        assert new == ({"kind", "source_run_id"} if table == "run" else set())
    assert (after["run"][0]["kind"], after["run"][0]["source_run_id"]) == ("campaign", None)
    with Store.open(engine.url.render_as_string(hide_password=False)) as store:
        assert store.resolve_run("latest").kind == "campaign"


def test_a_downgrade_to_the_first_schema_keeps_what_that_can_hold(engine: Engine) -> None:
    with changing_schema(engine) as connection:
        command.upgrade(migration_config(connection), "0001")
    with writing(engine) as connection:
        for statement in FIRST_ROWS:
            connection.exec_driver_sql(statement)
        before = contents(connection)
    upgrade(engine)
    with changing_schema(engine) as connection:
        command.downgrade(migration_config(connection), "0001")
    with engine.connect() as connection:
        assert contents(connection) == before


def test_a_migration_that_fails_leaves_nothing_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = Operations.create_table, []

    def create_some(self: Operations, name: str, *columns: object, **options: object) -> object:
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
    orphan = "INSERT INTO run_example (run_id, example_id, position, split) VALUES ('none', 'none', 0, 'dev')"
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
        columns = reader.rows(collated)  # type: ignore[arg-type]  # written by hand
    assert ("turn", "mood", "C", 16) in [tuple(row) for row in columns]
    assert {row[2] for row in columns} == {"C"}


def test_a_drafted_migration_uses_plain_types(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("0*.py", "__pycache__"))
    monkeypatch.setattr("openmic.store.migrate._SCRIPTS", scripts)
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
        with pytest.raises(StoreError, match=r"'9999'.*update openmic"):
            opening(address)


def test_an_older_store_is_not_read_before_it_is_migrated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    later = f"{int(head()) + 1:04}"
    monkeypatch.setattr("openmic.store.migrate.head", lambda: later)
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
