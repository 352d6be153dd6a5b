"""Serving the pages: on this machine's own address, or on another one with a token."""

import re
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

import uvicorn

from ..core.errors import ConfigError
from .app import create_app
from .guard import LOOPBACK, name_of

_NAME = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d{1,5})?")


def serve(
    store_url: str,
    *,
    host: str,
    port: int,
    path: str = "/",
    proxied_as: Sequence[str] = (),
    root_path: str = "",
    on_ready: Callable[[str], None],
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM).

    On a loopback address the pages are open to whoever uses this machine, and whoever a proxy on it lets in. On any
    other a token is made up, which is part of the address that is handed on, and without which nothing is shown.

    Args:
        store_url: The store.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        path: The page to begin with.
        proxied_as: Names, each with its port where that is not the usual one, under which a proxy shows the pages.
        root_path: The path under which a proxy shows them, such as `/openmic`.
        on_ready: Called with the address to open when the server answers.

    Raises:
        ConfigError: The port is taken, the address is not one of this machine, or a name or path is none.
        StoreError: The store cannot be opened.
    """
    for name in proxied_as:
        if not _NAME.fullmatch(name) or name_of(name) is None:
            raise ConfigError(f"--allowed-host {name!r} is no name such as viewer.example.org, or NAME:PORT")
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    # Bound to every address of the machine it may be called by any of its names; the token keeps others out.
    allowed = {*LOOPBACK, host} if token is None else None
    root_path = root_path.rstrip("/")
    try:
        app = create_app(store_url, token=token, allowed_hosts=allowed, proxied_as=proxied_as, root_path=root_path)
    except ValueError as error:
        raise ConfigError(f"--root-path {error}") from None
    listener = _bind(host, port)
    address = _address(host, listener.getsockname()[1]) + root_path + path + (f"?token={token}" if token else "")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with listener, suppress(KeyboardInterrupt):
        _Server(config, lambda: on_ready(address)).run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - what to show
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that the port is known before anything is served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer takes some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"the viewer cannot listen on {host} port {port}: {error}. Name another with --port, or 0 for any"
        ) from error
    return listener


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()
