"""Where a store lies: reading its address, and showing it without its password.

Nothing here opens a database, creates a file or looks at one.
"""

import os
import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...core.endpoints.secrets import keep_secret
from ...core.errors import StoreError

_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_SECRET_PARAMETERS = ("password", "sslpassword")
_WITH_PASSWORD = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^:@/\s]*):[^@\s]*@")
_WITH_PARAMETER = re.compile(rf"([?&])(?:{'|'.join(_SECRET_PARAMETERS)})=[^&\s'\"]*")


def normalize_url(url_or_path: str) -> str:
    """One spelling for each store: a path, relative or not, becomes `sqlite:///` and the absolute path.

    A PostgreSQL address begins with `postgresql://` and keeps its password: show it by `shown_url` alone. Addresses of
    other databases stay as they are; whether openmic can use them is for `check_writable` to say.

    Raises:
        StoreError: It is empty, not an address at all, or asks for a database in memory.
    """
    if not url_or_path.strip():
        raise StoreError("the store's address is empty: give a path, such as openmic-data/store.db")
    if "://" not in url_or_path and url_or_path != ":memory:":
        return _sqlite_url(url_or_path)
    try:
        url = make_url("sqlite://" if url_or_path == ":memory:" else url_or_path)
    except (ArgumentError, ValueError):
        # What could not be read is in the error that was caught, and may hold a password.
        raise StoreError(
            f"{without_passwords(url_or_path)!r} is no store address: give a path, or postgresql://USER@HOST/DATABASE"
        ) from None
    keep_secret(*(str(part) for part in (url.password, *map(url.query.get, _SECRET_PARAMETERS)) if part))
    if url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql").render_as_string(hide_password=False)
    if url.drivername not in _SQLITE:
        return url.render_as_string(hide_password=False)
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        raise StoreError(f"{url_or_path!r} names no file, and a store has to outlive its run: give a path")
    return _sqlite_url(str(url.database))


def shown_url(url: str) -> str:
    """A normalized address as it may be printed and stored: without a password.

    It still names the store: libpq finds the password in PGPASSWORD or the user's `.pgpass`.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return url
    # `set` would take None for "unchanged".
    return address._replace(password=None).difference_update_query(_SECRET_PARAMETERS).render_as_string()


def without_passwords(text: str) -> str:
    """A text, such as an argument of a command, with the passwords of PostgreSQL addresses in it left out."""
    return _WITH_PARAMETER.sub(r"\1", _WITH_PASSWORD.sub(r"\1@", text))


def is_postgresql(url: str) -> bool:
    """Whether a normalized address is that of a PostgreSQL database."""
    return make_url(url).drivername == "postgresql"


def sqlite_path(url: str) -> Path:
    """The file a normalized address names.

    Raises:
        StoreError: The address is of another kind of database.
    """
    address = make_url(url)
    if address.drivername != "sqlite" or not address.database:
        raise StoreError(
            f"{shown_url(url)!r} is a {address.drivername} address, and openmic keeps its store in SQLite or "
            "PostgreSQL: give a path, or postgresql://USER@HOST/DATABASE"
        )
    return Path(address.database)


def _sqlite_url(path: str) -> str:
    absolute = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - Path.absolute keeps the ".."
    return URL.create("sqlite", database=str(absolute)).render_as_string()
