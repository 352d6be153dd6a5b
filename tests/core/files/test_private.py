import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.core.files.private import make_private, private_file, private_folder
from openmic.store import Store
from openmic.store.admin.backup import back_up


@pytest.fixture(params=[0, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("umask")
def test_what_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")
    file = private_file(folder / "file")
    assert [mode(path) for path in (folder.parent, folder, file)] == [0o700, 0o700, 0o600]
    file.chmod(0o640)
    folder.chmod(0o750)
    private_folder(folder)
    private_file(file)
    assert [mode(path) for path in (folder, file)] == [0o750, 0o640]
    make_private(folder.parent)
    assert [mode(path) for path in (folder, file)] == [0o700, 0o600]


@pytest.mark.usefixtures("umask")
def test_a_store_its_log_and_its_backup_are(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "home" / "store.db")) as store:
        back_up(store.address, tmp_path / "kept" / "backup.db")
        made = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        assert [path.name for path in made] == ["store.db", "store.db-shm", "store.db-wal", "backup.db"]
        assert {mode(path) for path in made} == {0o600}
        assert {mode(path.parent) for path in made} == {0o700}
