"""Where adapters and checkpoints are kept when it is no folder: object storage and whatever else fsspec speaks to.

An address such as `s3://bucket/openmic` is remote; a path, or `file://` and a path, is a folder. Credentials come from
the environment, as each kind of storage looks for them. Not for what makes a set of files an adapter: that is in
`adapters`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from uuid import uuid4

from ...core.errors import AdapterError, ConfigError
from ...core.section import from_home, unwritable

_LOCAL = ("file://", "local://")


def is_remote(uri: str) -> bool:
    """Whether an address is that of storage which is no folder of this machine."""
    return "://" in uri and not uri.startswith(_LOCAL)


def folder_of(uri: str) -> Path:
    """The absolute folder that a local address or a path means."""
    for scheme in _LOCAL:
        uri = uri.removeprefix(scheme)
    return Path(from_home(uri)).absolute()


def join_uri(uri: str, *names: str) -> str:
    """The address, or the absolute path, of what lies beneath an address."""
    return "/".join((uri.rstrip("/"), *names)) if is_remote(uri) else str(folder_of(uri).joinpath(*names))


def check_storage(uri: str) -> None:
    """Make sure that adapters can be kept at an address, as far as it can be known without writing there.

    Raises:
        ConfigError: The folder cannot be written, or the kind of storage is unknown or its package is missing.
    """
    if is_remote(uri):
        _check_protocol(uri, "storage_uri")
        return
    if (problem := unwritable(folder_of(uri))) is not None:
        raise ConfigError(f"storage_uri {uri!r} cannot be written: {problem}")


def try_writing(output: str, what: str) -> None:
    """Write under a folder, or under a remote address, and leave nothing behind.

    Args:
        output: Where adapters are to be written.
        what: The name of the argument or key that says so.

    Raises:
        ConfigError: It cannot be written.
    """
    if is_remote(output):
        _check_protocol(output, what)
        mark = f"{output.rstrip('/')}/.openmic-{uuid4().hex}"
        try:
            files, path = _open(mark)
            files.makedirs(files._parent(path), exist_ok=True)
            files.pipe_file(path, b"")
            files.rm_file(path)
        except Exception as error:  # every kind of storage has exceptions of its own
            raise ConfigError(f"{what} {_failure('written', output, error)}") from error
        return
    folder = folder_of(output)
    try:
        with there(folder), NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{what} {output!r} cannot be written ({error.strerror}); name a folder in which files can be made"
        ) from None


@contextmanager
def there(folder: Path) -> Iterator[None]:
    """A folder for the time of the block; what had to be made for it is gone afterwards."""
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in made:
            with suppress(OSError):  # somebody else has begun to use it
                path.rmdir()


def read(uri: str) -> bytes | None:
    """What a remote file holds; None where there is none.

    Raises:
        AdapterError: The storage cannot be asked.
    """
    try:
        files, path = _open(uri)
        files.invalidate_cache()  # of listings: another machine may have written it a moment ago
        data: bytes = files.cat_file(path)
        return data
    except FileNotFoundError:
        return None
    except Exception as error:  # every kind of storage has exceptions of its own
        raise AdapterError(_failure("read", uri, error)) from error


def upload(file: Path, uri: str) -> None:
    """Write a file's content to a remote address, over whatever is there.

    Raises:
        AdapterError: It could not be written.
    """
    try:
        files, path = _open(uri)
        files.makedirs(files._parent(path), exist_ok=True)
        files.put_file(str(file), path)
    except Exception as error:  # as above
        raise AdapterError(_failure("written", uri, error)) from error


def remove(uri: str) -> None:
    """Remove a folder, or what lies under a remote address, with all it holds. What is not there is removed already.

    Raises:
        AdapterError: It could not be removed.
    """
    try:
        if not is_remote(uri):
            shutil.rmtree(folder_of(uri))
            return
        files, path = _open(uri)
        files.invalidate_cache()
        files.rm(path, recursive=True)
    except FileNotFoundError:
        return
    except Exception as error:  # as above
        raise AdapterError(_failure("removed", uri, error)) from error


def _open(uri: str) -> tuple[Any, str]:
    import fsspec.core

    files, path = fsspec.core.url_to_fs(uri)
    return files, path


def _check_protocol(uri: str, what: str) -> None:
    import fsspec

    protocol = uri.partition("://")[0]
    if protocol == "memory":
        raise ConfigError(f"{what} memory:// is forgotten with its process: name a folder or object storage")
    try:
        fsspec.get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{what} {uri!r} cannot be used: {error}") from None


def _failure(what: str, uri: str, error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{uri} could not be {what}: {reason}; see storage_uri and its credentials"
