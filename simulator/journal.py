"""The request log: one line of JSON for each request, written when its answer is handed over.

It is what tells whether anything was asked, and would have been paid, twice.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from ..core.errors import ConfigError
from .prompts import Kind


class Journal:
    """Appends to a file; without one it keeps no log. Lines that a full disk does not take wait until it does.

    Raises:
        ConfigError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: int | None = None
        self._waiting = b""
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            except OSError as error:
                raise ConfigError(f"The request log {str(path)!r} cannot be written: {error.strerror}.") from error

    def record(self, request_hash: str, model: str | None, kind: Kind | None, status: int, fault: str | None) -> None:
        """Writes a line.

        Args:
            request_hash: SHA-256 of the request's body as canonical JSON.
            model: The model that was asked for; None where the body does not say.
            kind: What was asked for; None where that is unknown.
            status: The HTTP status; 499 for an answer that nobody waited for, or that nobody got whole.
            fault: What went wrong on purpose.
        """
        if self._file is None:
            return
        line = {
            "time": time.time(),
            "request_hash": request_hash,
            "model": model,
            "kind": kind,
            "status": status,
            "fault": fault,
        }
        self._waiting += f"{json.dumps(line)}\n".encode()
        self._write(self._file)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._write(self._file)
            os.close(self._file)
            self._file = None

    def _write(self, file: int) -> None:
        with suppress(OSError):
            while self._waiting:
                self._waiting = self._waiting[os.write(file, self._waiting) :]
