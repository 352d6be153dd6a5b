"""Where a run's files lie. The store has their places relative to its own file, so that both can be moved or copied.

A run's folder or an adapter that does not lie beneath the folder of the store's file has its absolute path, and with a
database server all have: nobody copies a server's database by copying a folder. Addresses of remote storage stay as
they are.
"""

from pathlib import Path

from .dialects.location import is_postgresql, normalize_url, sqlite_path


def located(url: str, place: str) -> str:
    """The absolute path, or the address, of what a store has under a place.

    Args:
        url: The store's address.
        place: As `recorded` made it.
    """
    folder = _folder(url)
    return place if folder is None or "://" in place else str(folder / place)


def recorded(url: str, path: str | Path) -> str:
    """What a store is to have of an absolute path, or of an address."""
    folder, place = _folder(url), str(path)
    if folder is None or "://" in place or not Path(place).is_relative_to(folder):
        return place
    return str(Path(place).relative_to(folder))


def _folder(url: str) -> Path | None:
    url = normalize_url(url)
    return None if is_postgresql(url) else sqlite_path(url).parent


def is_relative(place: str) -> bool:
    """Whether what a store has under a place is found beside its file, wherever that is."""
    return "://" not in place and not Path(place).is_absolute()
