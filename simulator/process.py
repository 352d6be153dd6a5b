"""Process of the simulated cast, as a run embeds it: over real HTTP like any other endpoint."""

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from ..core.errors import EndpointLostError, EndpointSetupError
from ..core.files.scratch import scratch_folder
from .settings import SimulatorSettings

_START_S = 60.0
_STOP_S = 5.0
_POLL_S = 0.02
_TAIL = 2000


class SimulatedCast:
    """Starts the server on entering, stops it on leaving.

    The process has a session of its own, so Ctrl-C in the terminal does not reach it; it ends by itself soon after this
    process does, however that ends. An object can be entered again after it was left, and then has another port.

    Raises:
        EndpointLostError: On entering: the server did not start.
    """

    def __init__(self, settings: SimulatorSettings | None = None, *, log: Path | None = None) -> None:
        """Starts nothing yet.

        Args:
            settings: How the cast shall behave.
            log: The request log, appended to.
        """
        self._settings = settings or SimulatorSettings()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: AbstractContextManager[Path] | None = None
        self._base_url: str | None = None

    @property
    def base_url(self) -> str:
        """Where the server answers, as `http://127.0.0.1:PORT/v1`.

        Raises:
            EndpointSetupError: It is not running.
        """
        if self._base_url is None:
            raise EndpointSetupError("The simulated cast is not running; enter it with `with` first.")
        return self._base_url

    @property
    def ended(self) -> int | None:
        """The code with which the server's process ended of itself, negative for a signal; None while it has not."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int | None:
        """The process id of the server; None while it is not running."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        if self._process is not None:
            raise EndpointSetupError("The simulated cast is running already.")
        self._start(port=0)
        return self

    def restart(self) -> None:
        """Start the server again at the same address; for one whose process has ended.

        Raises:
            EndpointLostError: It did not start.
        """
        port = urlsplit(self.base_url).port or 0
        self._stop()
        self._start(port)

    def _start(self, port: int) -> None:
        self._folder = scratch_folder("cast")
        place = self._folder.__enter__()
        ready, errors = place / "ready", place / "stderr"
        try:
            with errors.open("wb") as sink:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                    self._command(ready, port),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=sink,
                    start_new_session=True,
                )
            self._base_url = self._wait(self._process, ready, errors)
        except BaseException:
            self._stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _command(self, ready: Path, port: int) -> list[str]:
        command = [sys.executable, "-m", "openmic", "simulate", "--port", str(port), "--ready-file", str(ready)]
        command += ["--parent", str(os.getpid()), "--settings-json", self._settings.model_dump_json()]
        return command if self._log is None else [*command, "--log", str(self._log)]

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], ready: Path, errors: Path) -> str:
        deadline = time.monotonic() + _START_S
        while not ready.exists():
            code = process.poll()
            if code is not None:
                tail = errors.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
                raise EndpointLostError(f"the simulated cast ended with code {code} before it was ready: {tail}")
            if time.monotonic() > deadline:
                raise EndpointLostError(f"the simulated cast was not ready after {_START_S:g} s; is the machine busy?")
            time.sleep(_POLL_S)
        return ready.read_text(encoding="utf-8")

    def _stop(self) -> None:
        process, self._process, self._base_url = self._process, None, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            self._folder.__exit__(None, None, None)
            self._folder = None
