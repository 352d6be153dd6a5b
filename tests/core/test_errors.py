"""What is said of a file that the system would not open."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.core.errors import told_of_disk


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user's for whom permissions count, which this process is meanwhile."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path("/tmp") / f"openmic-permissions-{os.getpid()}"  # pytest's own is closed to that user
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def told(path: Path, mode: str) -> str | None:
    with pytest.raises(OSError, match="denied") as refused:
        path.open(mode)
    return told_of_disk(refused.value)


def test_reading_and_writing_are_told_apart(unprivileged: Path) -> None:
    file, folder = unprivileged / "file", unprivileged / "folder"
    file.write_text("text")
    file.chmod(0o200)
    assert told(file, "r") == f"'{file}' cannot be read: Permission denied; make it readable, or name another place"
    file.chmod(0o400)
    assert told(file, "w") == f"'{file}' cannot be written: Permission denied; make it writable, or name another place"
    folder.mkdir()
    (folder / "file").write_text("text")
    folder.chmod(0o000)
    assert "cannot be reached: Permission denied; let yourself into" in (told(folder / "file", "r") or "")
    folder.chmod(0o500)
    assert "cannot be written" in (told(folder / "new", "w") or "")
    folder.chmod(0o700)


def test_a_disk_that_is_full_is_about_writing(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "none"))
    assert "cannot be written: No space left on device; make room" in (told_of_disk(error) or "")
