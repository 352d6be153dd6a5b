"""Files that a power loss leaves whole: written through to the disk before anything says that they exist."""

import errno
import os
from pathlib import Path

_FAILED = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
"""What a disk answers that did not take a folder. All else says that it was not asked: file systems that cannot write a
folder through, and folders that we may not open, answer this and that."""


def write_through(folder: Path) -> None:
    """Have all files in a folder on the disk, and then the folder that names them. Folders in it are passed over.

    Raises:
        OSError: the disk does not take them.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file():
            _sync(path)
    _sync_folder(folder)


def place_through(work: Path, target: Path) -> None:
    """Move a folder to its place; a power loss leaves all of it there, or nothing.

    Args:
        work: On the same file system.
        target: Where nothing is yet.

    Raises:
        OSError: the disk does not take it.
    """
    write_through(work)
    work.replace(target)
    for folder in target.parents:  # any of them may have been made a moment ago
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as error:
        if error.errno in _FAILED:
            raise


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
