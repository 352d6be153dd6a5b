"""Serving the simulated cast: binds, says where it listens, and ends when its parent does."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.endpoints.listening import AnnouncingServer, address_of, bind
from .app import build_app
from .settings import SimulatorSettings

_POLL_S = 0.5


def serve(
    settings: SimulatorSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 8199,
    log: Path | None = None,
    ready_file: Path | None = None,
    parent: int | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM) or the parent process is gone.

    Args:
        settings: How the cast shall behave.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        log: The request log, appended to.
        ready_file: Gets the base URL when the server answers; written whole or not at all.
        parent: A process id; the server ends within about two seconds of that process.
        on_ready: Called with the base URL when the server answers.

    Raises:
        ConfigError: The port is taken, the address is not one of this machine, or the log cannot be written.
    """
    app = build_app(settings, log)
    listener = bind(host, port, "the simulated cast")
    base_url = f"{address_of(host, listener)}/v1"

    def announce() -> None:
        if ready_file is not None:
            partial = ready_file.with_name(ready_file.name + ".partial")
            partial.write_text(base_url, encoding="utf-8")
            partial.replace(ready_file)
        if on_ready is not None:
            on_ready(base_url)

    _Server(app, announce, parent).serve_until_told(listener)


class _Server(AnnouncingServer):
    """A server that announces itself and watches its parent."""

    def __init__(self, app: Any, announce: Callable[[], None], parent: int | None) -> None:
        super().__init__(app, announce)
        self._parent = parent
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit and self._parent is not None:
            self._watch = asyncio.create_task(self._outlive_nobody(self._parent))

    async def _outlive_nobody(self, parent: int) -> None:
        is_own = os.getppid() == parent
        # A parent that died but was not waited for still has its id, so for one's own parent that is not enough.
        while _exists(parent) and (not is_own or os.getppid() == parent):  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(_POLL_S)
        self.should_exit = True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
