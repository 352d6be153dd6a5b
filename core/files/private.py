"""Files and folders that nobody but their owner can read, whatever the umask says."""

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
"""Permissions: all for the owner, none for anybody else."""


def private_folder(folder: Path) -> Path:
    """A folder, made with those above it that are not there; what is there keeps its permissions."""
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    for path in reversed(missing):
        path.mkdir(mode=FOLDER, exist_ok=True)
    folder.mkdir(exist_ok=True)
    return folder


def private_file(file: Path) -> Path:
    """A file, made empty where it is not there; one that is there keeps its permissions."""
    file.touch(mode=FILE)
    return file


def make_private(folder: Path) -> None:
    """Take from all others what they may do with the files in a folder, and in those beneath it."""
    for path in folder.rglob("*"):
        path.chmod(FOLDER if path.is_dir() else FILE)
