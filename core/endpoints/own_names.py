"""What a server of this machine is called, so that other sites' pages cannot have a browser speak to it.

A page from anywhere may send requests to 127.0.0.1 from the browser that shows it. Two headers tell, and no page can
forge them: Host, which names the page's own site where that was made to point here (DNS rebinding), and Origin, which
names the site of the page that sends.
"""

from collections.abc import Collection

from .listening import name_of

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class OwnNames:
    """The names of a server, and the origins of its pages."""

    def __init__(self, hosts: Collection[str] | None, *, proxied_as: Collection[str] = ()) -> None:
        """Names that its requests may be for.

        Args:
            hosts: Names and addresses, without a port. None: any.
            proxied_as: Names under which a proxy shows it, each with its port where that is not the usual one.
        """
        named = {name_of(name) for name in proxied_as} | {host.lower().strip("[]") for host in hosts or ()}
        self._hosts = None if hosts is None else named - {None}
        self._proxied_as = {name.lower() for name in proxied_as}

    def include(self, host: str) -> bool:
        """Whether a Host header names this server."""
        return self._hosts is None or name_of(host) in self._hosts

    def may_send(self, method: str, origin: str, host: str) -> bool:
        """Whether a page of that origin may send a request with this method.

        What does something may come from the server's own pages alone; the rest can be sent, not read, by any page.

        Args:
            method: The request's method.
            origin: Its Origin header; empty where it has none, which no page's request that does something lacks.
            host: Its Host header.
        """
        own = {host.lower(), *self._proxied_as}
        scheme, _, sender = origin.lower().partition("://")
        return method in _SAFE_METHODS or (scheme in {"http", "https"} and sender in own)
