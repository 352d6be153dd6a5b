import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from openmic.core.errors import StoreError
from openmic.store import ExampleRow, Run, Store
from openmic.store.admin.backup import back_up, backing_up
from openmic.store.dialects.engine import writing

from ...postgresql import PASSWORD, Server
from ..rows import example


def test_a_backup_is_the_store_at_one_moment_while_it_is_written(sqlite_store: Store, tmp_path: Path) -> None:
    target = tmp_path / "new" / "copy.db"
    with writing(sqlite_store.engine) as connection:
        connection.exec_driver_sql("INSERT INTO example (id, text, fields) VALUES ('later', 'not committed', '{}')")
        back_up(sqlite_store.address, target)
    assert sqlite_store.count(ExampleRow) == 2
    with Store.open(str(target)) as copy:
        assert [row.id for row in copy.select(ExampleRow)] == ["e1"]
        copy.add(example(id="e2"))
    assert {path.name for path in target.parent.iterdir()} == {"copy.db"}


def test_nothing_is_overwritten_and_nothing_half_done_is_left(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken.db"
    taken.write_text("mine")
    with pytest.raises(StoreError, match=r"taken\.db.*exists already"):
        back_up(sqlite_store.address, taken)
    assert taken.read_text() == "mine"
    with pytest.raises(StoreError, match="no store at"):
        back_up(str(tmp_path / "none.db"), tmp_path / "copy.db")
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(sqlite_store.address, taken / "copy.db")
    full = shutil._ntuple_diskusage(10**9, 10**9, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(StoreError, match="bytes are needed and 100 are free"):
        back_up(sqlite_store.address, tmp_path / "copy.db")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "taken.db"}


@pytest.fixture
def with_programs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs on the PATH."""
    monkeypatch.setenv("PATH", f"{server.binaries}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("with_programs")
def test_a_database_is_dumped_and_can_be_restored(postgresql_store: Store, server: Server, tmp_path: Path) -> None:
    target = tmp_path / "store.dump"
    back_up(postgresql_store.address, target)
    server.sql("CREATE DATABASE restored")
    command = ["pg_restore", "--no-owner", "--dbname", server.url("restored", None), str(target)]
    subprocess.run(command, env={**os.environ, "PGPASSWORD": PASSWORD}, check=True)
    with Store.open(server.url("restored")) as restored:
        assert restored.select(Run) == postgresql_store.select(Run)


@pytest.mark.usefixtures("with_programs")
def test_a_database_needs_its_own_program(
    postgresql_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="cannot be backed up: pg_dump: error") as caught:
        back_up(postgresql_store.address.rpartition("/")[0] + "/nowhere", tmp_path / "x")
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="pg_dump is not on the PATH"):
        back_up(postgresql_store.address, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_has_its_name_once_its_adapters_are_there(sqlite_store: Store, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with suppress(RuntimeError), backing_up(sqlite_store.address, target):
        raise RuntimeError("killed")
    assert list(tmp_path.glob("*copy*")) == []
    with backing_up(sqlite_store.address, target):
        assert not target.exists()
    assert target.exists()
