"""Where a store lies: reading its address, and telling before anything is spent whether it can be written.

Nothing here opens a database or creates a file.
"""

import os
import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..core.errors import StoreError

_MOUNTS = Path("/proc/mounts")
_SQLITE_HEADER = b"SQLite format 3\0"
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs"}
    | {"fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)


def normalize_url(url_or_path: str) -> str:
    """One spelling for each store: a path, relative or not, becomes `sqlite:///` and the absolute path.

    Other addresses stay as they are; whether openmic can use them is for `check_writable` to say.

    Raises:
        StoreError: It is empty, not an address at all, or asks for a database in memory.
    """
    if not url_or_path.strip():
        raise StoreError("the store's address is empty: give a path, such as openmic-data/store.db")
    if "://" not in url_or_path and url_or_path != ":memory:":
        return _sqlite_url(url_or_path)
    try:
        url = make_url("sqlite://" if url_or_path == ":memory:" else url_or_path)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"{url_or_path!r} is no store address: give a path, or sqlite:///PATH") from error
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        return url.render_as_string(hide_password=False)
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        raise StoreError(f"{url_or_path!r} names no file, and a store has to outlive its run: give a path")
    return _sqlite_url(str(url.database))


def sqlite_path(url: str) -> Path:
    """The file a normalized address names.

    Raises:
        StoreError: The address is of another kind of database.
    """
    address = make_url(url)
    if address.drivername != "sqlite" or not address.database:
        raise StoreError(
            f"{address.render_as_string()!r} is a {address.get_backend_name()} address, and openmic keeps its store in "
            "SQLite: give a path, or sqlite:///PATH"
        )
    return Path(address.database)


def check_writable(url: str) -> None:
    """Make sure that a store can be opened, or created, at an address; creates nothing.

    Raises:
        StoreError: It cannot; the message says why, and what to do.
    """
    path = sqlite_path(normalize_url(url))
    folder = path.resolve().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise StoreError(f"the store {str(path)!r} cannot be created: {str(folder)!r} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        # SQLite keeps its write-ahead log beside the file, so a writable file alone does not do.
        raise StoreError(f"the store {str(path)!r} cannot be written: no permission to write in {str(folder)!r}")
    if path.is_dir():
        raise StoreError(f"the store {str(path)!r} is a folder: name a file in it, such as {str(path / 'store.db')!r}")
    if path.exists():
        _check_file(path)
    kind = file_system(folder, _MOUNTS.read_text(errors="replace") if _MOUNTS.exists() else "")
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"the store {str(path)!r} would lie on a network file system ({kind}), where SQLite's write-ahead log does "
            "not work: keep the store on a local disk, and copy it when the run is over"
        )


def file_system(path: Path, mounts: str) -> str | None:
    """The type of the file system that an absolute path lies on, by a table in the format of /proc/mounts."""
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount_point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[1]))
        # The deepest mount holds the path; of two at one place, the later covers the earlier.
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= best[0]:
            best = (len(mount_point.parts), fields[2])
    return best[1]


def _sqlite_url(path: str) -> str:
    absolute = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - Path.absolute keeps the ".."
    return URL.create("sqlite", database=str(absolute)).render_as_string()


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"the store {str(path)!r} is not a regular file: name another")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"the store {str(path)!r} is read-only: change its permissions, or name another with --store")
    with path.open("rb") as file:
        header = file.read(len(_SQLITE_HEADER))
    if header and header != _SQLITE_HEADER:  # an empty file is an empty database
        raise StoreError(f"the store {str(path)!r} is not a SQLite database: name another with --store")
