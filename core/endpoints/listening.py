"""Listening on an address of this machine: a bound socket, and a server that says when it answers."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

from ..errors import ConfigError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str | None:
    """The name in a Host header, without the port; None where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def bind(host: str, port: int, who: str) -> socket.socket:
    """A socket that is bound, so that the port is known, and nobody else's, before anything is served.

    Args:
        host: The address.
        port: The port; 0 takes a free one.
        who: Whoever wants to listen, for the error.

    Raises:
        ConfigError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer takes some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"{who} cannot listen on {host} port {port}: {error}. Name another with --port, or 0 for any"
        ) from error
    return listener


def address_of(host: str, listener: socket.socket) -> str:
    """The address to open, for a socket that is bound to `host`; of all addresses, by the machine's name."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - what to show
    port = listener.getsockname()[1]
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _tells_something(record: logging.LogRecord) -> bool:
    """What is broken off as the server is told to stop is no error."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class AnnouncingServer(uvicorn.Server):
    """A server of an application that says when it answers."""

    def __init__(self, app: Any, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        super().__init__(config)
        self._announce = announce
        logging.getLogger("uvicorn.error").addFilter(_tells_something)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    def serve_until_told(self, listener: socket.socket) -> None:
        """Serve until told to stop (SIGINT, SIGTERM), and close the socket."""
        with listener, suppress(KeyboardInterrupt):
            self.run(sockets=[listener])
