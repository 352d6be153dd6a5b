"""A disk that has no more room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(place: Path) -> Iterator[Path]:
    """A disk of 24 MB for the time of the block; the test is skipped where none can be had."""
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=False).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(folder: Path, *, left: int = 0) -> None:
    """Leave so many bytes of its room, about."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(65536))
        except OSError:
            file.truncate(max(0, filler.stat().st_size - left))
