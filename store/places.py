"""Where a run's files lie. The store has their places relative to its own file, so that both can be moved or copied.

A run's folder or an adapter that does not lie beneath the folder of the store's file has its absolute path, and with a
database server all have: nobody copies a server's database by copying a folder. Addresses of remote storage stay as
they are. A run's folder says which store it belongs to, as a copy of a store alone finds the folders of the original.
"""

import os
from pathlib import Path

from ..core.errors import StoreFaultError
from ..core.files.private import private_file
from .dialects.location import is_postgresql, normalize_url, shown_url, sqlite_path

_OWNER = "store"
"""The file in a run's folder that says which store it belongs to."""


def located(url: str, place: str) -> str:
    """The absolute path, or the address, of what a store has under a place.

    Args:
        url: The store's address.
        place: As `recorded` made it.

    Raises:
        StoreFaultError: The place is one that `recorded` never makes, in a folder that is nothing of the store's.
    """
    folder = _folder(url)
    if folder is None or "://" in place:
        return place
    if is_relative(place) and ".." in Path(place).parts:
        raise StoreFaultError(f"the store says that something of it lies at {place!r}, where openmic puts nothing")
    return str(folder / place)


def recorded(url: str, path: str | Path) -> str:
    """What a store is to have of an absolute path, or of an address."""
    folder, place = _folder(url), str(path)
    if folder is None or "://" in place:
        return place
    place = os.path.abspath(place)  # noqa: PTH100 - as the store's own address is made, without ".."
    return str(Path(place).relative_to(folder)) if Path(place).is_relative_to(folder) else place


def claim(url: str, folder: Path) -> None:
    """Say in a run's folder, which exists, that it belongs to a store. Raises OSError."""
    url = normalize_url(url)
    address = shown_url(url)
    if not is_postgresql(url):
        path = sqlite_path(url).resolve()
        try:
            address = os.path.relpath(path, folder.resolve())  # both may be moved or copied
        except ValueError:  # another drive
            address = str(path)
    unfinished = folder / f".{_OWNER}"
    private_file(unfinished).write_text(address, encoding="utf-8")
    unfinished.replace(folder / _OWNER)


def owner(folder: Path) -> str | None:
    """The address of the store that a run's folder belongs to; None where it does not say."""
    try:
        said = (folder / _OWNER).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    if not said or "\0" in said:  # what a full disk or a loss of power left
        return None
    return said if "://" in said else str((folder.resolve() / said).resolve())


def is_same(url: str, address: str) -> bool:
    """Whether what a folder says is this store, by whatever name its file is reached."""
    url = normalize_url(url)
    if is_postgresql(url):
        return address == shown_url(url)
    try:
        return sqlite_path(url).samefile(address)
    except OSError:  # one of them is not there
        return address == str(sqlite_path(url).resolve())


def _folder(url: str) -> Path | None:
    url = normalize_url(url)
    return None if is_postgresql(url) else sqlite_path(url).parent


def is_relative(place: str) -> bool:
    """Whether what a store has under a place is found beside its file, wherever that is."""
    return "://" not in place and not Path(place).is_absolute()
