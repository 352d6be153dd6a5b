"""What a folder's writing through may fail by, and what is no fault of the disk's."""

import errno
import os
import re
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest

from openmic.core.files.durable import place_through

FAILED = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
NOT_ASKED = (
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EBADF,
    errno.EISDIR,
    errno.ENOSYS,
)


@pytest.mark.parametrize("code", [*FAILED, *NOT_ASKED])
def test_only_a_disk_that_did_not_take_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "file").write_text("all of it")
    above, synced = tmp_path.stat(), os.fsync

    def fsync(opened: int) -> None:
        found = os.fstat(opened)
        if stat.S_ISDIR(found.st_mode) and (found.st_dev, found.st_ino) == (above.st_dev, above.st_ino):
            raise OSError(code, os.strerror(code))
        synced(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) if code in FAILED else nullcontext():
        place_through(tmp_path / "work", tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "all of it"
