"""Copies of a whole store, consistent even while a run writes to it."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import make_url

from ...core.errors import StoreError, StoreFaultError
from ...core.files.private import private_file, private_folder
from ..dialects.location import is_postgresql, normalize_url, shown_url, sqlite_path


def back_up(url: str, target: Path) -> None:
    """Copy a store as it is at this moment into a new file.

    Of a SQLite store the copy is a store itself. Of a PostgreSQL one it is what `pg_dump --format=custom` writes, for
    `pg_restore`.

    Raises:
        StoreError: The target exists or cannot be written, there is no such store, or `pg_dump` is missing or fails.
    """
    with backing_up(url, target):
        pass


@contextmanager
def backing_up(url: str, target: Path) -> Iterator[None]:
    """As `back_up`; the file has its name once what is done meanwhile is done, too.

    So a copy with adapters that was killed half-way is made again.
    """
    url = normalize_url(url)
    if target.exists():
        raise StoreError(f"the backup {str(target)!r} exists already: name another file")
    if not is_postgresql(url) and not (path := sqlite_path(url)).is_file():
        raise StoreError(f"no store at {str(path)!r}: name one with --store")
    with _in_place(target) as unfinished:
        if is_postgresql(url):
            _dump(url, unfinished)
        else:
            _copy(sqlite_path(url), unfinished)
        yield


def back_up_beside(path: Path, why: str) -> Path:
    """Copy a SQLite store into a new file beside it, `NAME.WHY.db`, and return where.

    Raises:
        StoreError: It cannot be written, for lack of room for instance.
    """
    target = path.with_name(f"{path.stem}.{why}.db")
    number = 2
    while target.exists():
        target = path.with_name(f"{path.stem}.{why}-{number}.db")
        number += 1
    back_up(str(path), target)
    return target


def _copy(path: Path, unfinished: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
            _require_room(source, unfinished)
            with closing(sqlite3.connect(unfinished)) as copy:
                # All pages in one step: one state of the store, and a writer does not make it begin anew.
                source.backup(copy, pages=-1)
    except (sqlite3.Error, OSError) as error:
        where = str(unfinished.parent)
        raise StoreFaultError(f"the store {str(path)!r} cannot be backed up in {where!r}: {error}") from error


def _require_room(source: sqlite3.Connection, target: Path) -> None:
    (pages,), (size,) = (source.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    free = shutil.disk_usage(target.parent).free
    if pages * size > free:
        raise OSError(f"{pages * size:,} bytes are needed and {free:,} are free")


def _dump(url: str, unfinished: Path) -> None:
    shown = shown_url(url)
    program = shutil.which("pg_dump")
    if program is None:
        raise StoreError(
            f"the store {shown!r} cannot be backed up: pg_dump is not on the PATH; install PostgreSQL's client "
            "programs of at least the server's version"
        )
    password = make_url(url).password
    environment = os.environ | ({} if password is None else {"PGPASSWORD": str(password)})
    command = [program, "--format=custom", f"--file={unfinished}", f"--dbname={shown}"]
    # Every argument is one of ours or an address that was parsed.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - see above
    if done.returncode:
        raise StoreFaultError(f"the store {shown!r} cannot be backed up: {' '.join(done.stderr.split())}")


@contextmanager
def _in_place(target: Path) -> Iterator[Path]:
    """A name to write under, which becomes the target when all is written and vanishes otherwise."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        private_folder(target.parent)
        private_file(unfinished)
        try:
            yield unfinished
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise StoreFaultError(f"the backup {str(target)!r} cannot be written: {error}") from error
