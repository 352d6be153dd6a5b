"""What a database's refusal means for whoever was using it: wait, make room, or mend something."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from ..core.errors import StoreBusyError, StoreFaultError, StoreFullError
from .dialects.postgresql import reason

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_TRANSFER = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""What SQLite says of a disk that is full where it cannot tell; or of one that is broken."""
_LEFT = 256 * 1024
"""Bytes that a disk is called full with: SQLite may need more for one step."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_RESTORE = "; the file is damaged: restore it from a backup, as `openmic db backup` makes them"
_SERVER_GONE = ("08", "57P")
_SERVER_BUSY = frozenset({"40001", "40P01", "55P03"})
_SERVER_FULL = frozenset({"53100"})


def store_fault(url: str, doing: str, error: Exception, folder: Path | None = None) -> StoreFaultError:
    """The error that says what a database refused, and why.

    Args:
        url: The store's address as it may be shown.
        doing: What was being done, as in "adding Turn 't0'".
        error: What the database, or making a statement for it, raised.
        folder: Where the store's file lies; None where it is no file.
    """
    if isinstance(error, DBAPIError):
        if is_gone(error):
            return StoreBusyError(
                f"the store {url!r} was lost while {doing}: {reason(error)}; what was done before is kept: see that "
                "the server runs, then `openmic resume`"
            )
        code = getattr(error.orig, "sqlite_errorcode", None)
        kind = None if code is None else code & 0xFF  # the rest of it says which step of SQLite's failed
        state = getattr(error.orig, "sqlstate", None)
        if kind in _LOCKED or state in _SERVER_BUSY:
            return StoreBusyError(
                f"the store {url!r} is locked by another process, which does not let go of it, while {doing}: end "
                "that process, or wait for it"
            )
        if kind == sqlite3.SQLITE_FULL or state in _SERVER_FULL or (kind in _TRANSFER and _is_full(folder)):
            return no_room(url)
        if kind == sqlite3.SQLITE_READONLY:
            return StoreFaultError(f"the store {url!r} can no longer be written: {reason(error)}; make it writable")
        if kind in _DAMAGED:
            return StoreFaultError(f"the store {url!r} refused {doing}: {reason(error)}{_RESTORE}")
    why = error.orig if isinstance(error, StatementError) else error
    return StoreFaultError(f"the store {url!r} refused {doing}: {why}")


def unreadable(url: str, error: Exception) -> StoreFaultError:
    """What is said of a value that is not what was written there."""
    return StoreFaultError(
        f"the store {url!r} holds what cannot be read ({type(error).__name__}: {error!s:.200}): see "
        "`openmic db verify`, and restore the file from a backup, as `openmic db backup` makes them"
    )


def how_to_open(error: DBAPIError, file: Path) -> str:
    """How to mend a file that cannot be opened, as the end of a sentence; empty where nobody knows."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    kind = None if code is None else code & 0xFF
    if kind in _DAMAGED:
        return _RESTORE
    if not os.access(file.parent, os.W_OK):
        return (
            f"; SQLite keeps its log beside the file: make {str(file.parent)!r} writable, or copy the store elsewhere"
        )
    return ""


def no_room(url: str) -> StoreFullError:
    """What is said of a disk that is full."""
    return StoreFullError(f"the store {url!r} has no room for more: its disk is full; make room there")


def is_gone(error: DBAPIError) -> bool:
    """Whether the server of a database went away, or is not there yet; a file is there or is not."""
    if hasattr(error.orig, "sqlite_errorcode"):
        return False
    state = getattr(error.orig, "sqlstate", None)
    never_reached = state is None and isinstance(error, OperationalError)
    return error.connection_invalidated or never_reached or (state or "").startswith(_SERVER_GONE)


def reserve(file: Path, size: int) -> None:
    """Take room on a disk by a file of so many bytes, all of them written.

    Raises:
        OSError: There is no such room, or no permission.
    """
    file.unlink(missing_ok=True)
    try:
        with file.open("xb") as opened:
            block = b"\0" * 65536
            for _ in range(size // len(block)):
                opened.write(block)
    except OSError:
        file.unlink(missing_ok=True)
        raise


def _is_full(folder: Path | None) -> bool:
    try:
        return folder is not None and shutil.disk_usage(folder).free < _LEFT
    except OSError as error:
        return error.errno == errno.ENOSPC
