"""The request log: one line of JSON for each request, written when its answer is handed over.

It is what tells whether anything was asked, and would have been paid, twice.
"""

import json
import time
from pathlib import Path
from typing import IO

from ..core.errors import ConfigError
from .prompts import Kind


class Journal:
    """Appends to a file; without one it keeps no log.

    Raises:
        ConfigError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"The request log {str(path)!r} cannot be written: {error.strerror}.") from error

    def record(self, request_hash: str, model: str | None, kind: Kind | None, status: int, fault: str | None) -> None:
        """Writes a line and flushes it.

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
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
