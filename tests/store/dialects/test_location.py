import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from openmic.core.errors import StoreError
from openmic.store import Run, Store, check_writable, normalize_url
from openmic.store.dialects.location import shown_url, without_passwords
from openmic.store.dialects.sqlite import file_system

from ..rows import run

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
//server/share /mnt/two\\040words cifs rw 0 0
/dev/sdc1 /over xfs rw 0 0
server:/over /over nfs rw 0 0
"""


def everything_under(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_path_becomes_an_absolute_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = f"sqlite:///{tmp_path}/a/b.db"
    for spelling in ("a/b.db", "x/../a/b.db", f"{tmp_path}/a/b.db", "~/a/b.db", "sqlite:///a/b.db", expected):
        assert normalize_url(spelling) == expected
    assert normalize_url(expected) == expected


def test_a_postgresql_address_has_one_spelling() -> None:
    expected = "postgresql://me:s3cret@host:5433/db?sslmode=require"
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        assert normalize_url(f"{scheme}://me:s3cret@host:5433/db?sslmode=require") == expected


def test_other_databases_keep_their_address() -> None:
    assert normalize_url("mysql://me:secret@host/db") == "mysql://me:secret@host/db"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:s3%2Fcr%40et@host:1/db?sslmode=require", "postgresql://me@host:1/db?sslmode=require"),
        ("postgresql://host/db?user=me&password=s3cret&sslpassword=s3cret", "postgresql://host/db?user=me"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=%2Frun%2Fpostgresql"),
        ("mysql://me:s3cret@host/db", "mysql://me@host/db"),
        ("sqlite:////data/store.db", "sqlite:////data/store.db"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_url(address) == shown
    assert shown_url(shown) == shown


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("store=postgresql://me:s3cret@host/db", "store=postgresql://me@host/db"),
        ("--store=postgres://me:s3c/ret@host/db", "--store=postgres://me@host/db"),
        ("postgresql://host/db?password=s3cret&sslmode=require", "postgresql://host/db?&sslmode=require"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("dialogue.inputs=4", "dialogue.inputs=4"),
    ],
)
def test_passwords_are_left_out_of_texts(told: str, shown: str) -> None:
    assert without_passwords(told) == shown


def test_an_unreadable_address_is_refused_without_its_password() -> None:
    with pytest.raises(StoreError, match="no store address") as caught:
        normalize_url("postgresql://me:s3cret@host:port/db")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("address", ["", "  ", ":memory:", "sqlite://", "sqlite:///:memory:", "://", "sqlite://h:x/y"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(StoreError):
        normalize_url(address)


def test_a_strange_path_names_the_same_file_for_writer_and_reader(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%20e&mode=rw.db"
    Store.open(str(path)).close()
    assert path.is_file()
    Store.open_readonly(normalize_url(str(path))).close()


def test_a_store_that_can_be_created_passes_and_nothing_is_created(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "not" / "yet" / "store.db"))
    assert everything_under(tmp_path) == []


def test_an_existing_store_passes_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store.open(str(path)).close()
    before = path.read_bytes()
    check_writable(str(path))
    assert (everything_under(tmp_path), path.read_bytes()) == ([path], before)


def test_looking_at_a_store_leaves_this_process_its_locks(tmp_path: Path) -> None:
    """A process that closes the file last takes the log away. Nobody is the last who would, while a store is open."""
    path = tmp_path / "store.db"
    other = "import sys; from openmic.store import Store; Store.open(sys.argv[1]).close()"
    with Store.open(str(path)) as store:
        store.add(run(id="RUN1"))
        for look in (check_writable, lambda address: Store.open(address).close()):
            look(str(path))
            subprocess.run([sys.executable, "-c", other, str(path)], check=True)
            assert path.with_name("store.db-wal").exists()
        store.add(run(id="RUN2"))
        with Store.open_readonly(str(path)) as reader:
            assert [row.id for row in reader.select(Run, order_by="id")] == ["RUN1", "RUN2"]


def test_an_empty_file_passes(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    check_writable(str(tmp_path / "store.db"))


def test_what_cannot_be_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but a text that is long enough")
    (tmp_path / "cut").write_bytes(b"SQLite")
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path, "is a folder"),
        (tmp_path / "text", "not a SQLite database"),
        (tmp_path / "cut", "not a SQLite database"),
        (tmp_path / "text" / "store.db", "'text' is not a folder".replace("'", "")),
        (tmp_path / "pipe", "not a regular file"),
    ):
        with pytest.raises(StoreError) as caught:
            check_writable(str(path))
        assert why in str(caught.value).replace("'", "")


def test_another_database_is_refused_without_showing_its_password() -> None:
    with pytest.raises(StoreError, match="SQLite or PostgreSQL") as caught:
        check_writable("mysql://me:secret@host/db")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="SQLite or PostgreSQL"):
        check_writable("nosuch://host/db")


@pytest.mark.parametrize(("denied", "why"), [("store.db", "is read-only"), ("", "no permission")])
def test_missing_permissions_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, why: str) -> None:
    path = tmp_path / "store.db"
    path.touch()
    # Not by chmod, which does not stop root.
    monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != tmp_path / denied)
    with pytest.raises(StoreError, match=why):
        check_writable(str(path))


def test_the_file_system_is_that_of_the_deepest_and_latest_mount() -> None:
    for path, kind in (
        ("/var/x", "ext4"),
        ("/home/me", "nfs4"),
        ("/home/local/me", "ext4"),
        ("/homestead", "ext4"),
        ("/mnt/two words/x", "cifs"),
        ("/over/x", "nfs"),
    ):
        assert file_system(Path(path), MOUNTS) == kind
    assert file_system(Path("/x"), "") is None


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr("openmic.store.dialects.sqlite._MOUNTS", mounts)
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*local disk"):
        check_writable(str(tmp_path / "new" / "store.db"))
    with pytest.raises(StoreError, match="network file system"):
        Store.open(str(tmp_path / "new" / "store.db"))
    assert everything_under(tmp_path) == [mounts]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (id)")
    other.close()
    with pytest.raises(StoreError, match=r"another program's.*recipes"):
        Store.open(str(path))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    other.close()
