"""Scratch folders: there for a while, and removed also where their process was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .private import FILE

_SCRATCH = "openmic-"
_LOCK = ".openmic-scratch"
"""What tells a scratch folder from any other, and is locked while it is used."""


@contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """A folder for the time of the block. What processes that were killed have left of such is removed first.

    Args:
        what: What it is for, as part of its name.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{what}-"))
    lock = _lock(folder)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove this user's scratch folders whose processes are gone: the lock of one that lives is held."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            if folder.stat().st_uid != os.getuid() or not (folder / _LOCK).is_file():
                continue  # somebody else's, or a folder with a name like ours
            with _lock(folder).acquire(blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # somebody uses it, or has removed it a moment ago


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / _LOCK, mode=FILE)
