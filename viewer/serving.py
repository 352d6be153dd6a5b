"""Serving the pages: on this machine's own address, or on another one with a token."""

import re
import secrets
from collections.abc import Callable, Sequence

from ..core.endpoints.listening import LOOPBACK, AnnouncingServer, address_of, bind, is_loopback, name_of
from ..core.errors import ConfigError
from .app import create_app

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
    listener = bind(host, port, "the viewer")
    address = address_of(host, listener) + root_path + path + (f"?token={token}" if token else "")
    AnnouncingServer(app, lambda: on_ready(address)).serve_until_told(listener)
