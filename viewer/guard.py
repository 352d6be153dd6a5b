"""Who may see the pages, and what the pages may do in a browser.

- Behind a proxy that shows it under a path of its own, requests come with that path or without, and answers lead back
  there. The names under which a proxy shows it have to be given.
- The Host header must name this server, so that no other site's name can be made to point here (DNS rebinding).
- A request that changes something must come from one of these pages (its Origin is the Host).
- Where a token is set, every request needs it: from `?token=`, once, then from a cookie.
- Every answer forbids the browser all scripts and styles but the files of this server, and being framed.
"""

import secrets
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.endpoints.own_names import OwnNames
from ..core.ids import content_hash

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Nothing is told to other sites. `no-referrer` would also take the Origin from this site's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """The middleware that does what this module says."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        allowed_hosts: Collection[str] | None,
        proxied_as: Collection[str] = (),
        root_path: str = "",
    ) -> None:
        if allowed_hosts is None and token is None:
            raise ValueError("the pages are open to any host name only with a token")
        self._app = app
        self._token = token
        # Cookies know no ports: two viewers on one machine must not overwrite each other's.
        self._cookie = f"openmic-{content_hash(token or '')[:12]}"
        self._own = OwnNames(allowed_hosts, proxied_as=proxied_as)
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in place of the application what may not get to it, and put the headers on whatever is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._refusal(Request(scope))
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._own.include(host):
            return _refused(f"This server is not called {host!r}. Open the address that `openmic view` printed.", 400)
        if self._token is not None:
            given = request.query_params.get("token")
            if given is not None and self._is_token(given):
                return self._admitted(request)
            if not self._is_token(request.cookies.get(self._cookie, "")):
                return _refused("A token is needed. Open the address that `openmic view` printed.", 403)
        if not self._own.may_send(request.method, request.headers.get("origin", ""), host):
            return _refused("This can be sent from the viewer's own pages only.", 403)
        return None

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _admitted(self, request: Request) -> Response:
        """To the same page without the token in its address, where it would stay in the browser's history."""
        assert self._token is not None
        rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
        # A path that begins with two slashes would be read as another server's address.
        path = "/" + request.url.path.lstrip("/")
        answer = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        path = self._root_path or "/"
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path=path)
        return answer


class Unslashed:
    """The middleware that shows a page where its address has a slash behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is asked for without a last slash."""
        if scope["type"] == "http":
            scope = _at(scope, scope["path"].rstrip("/"))
        await self._app(scope, receive, send)


class UnderPath:
    """The middleware for a proxy that shows the pages under a path, which it takes off or not."""

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is asked for without the path; what an answer leads on to has it."""
        root = self._root_path
        if scope["type"] != "http" or not root:
            await self._app(scope, receive, send)
            return

        async def send_with_path(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if (target := headers.get("location", "")).startswith("/"):
                    headers["location"] = root + target
            await send(message)

        path = scope["path"]
        if path == root or path.startswith(f"{root}/"):
            scope = _at(scope, path.removeprefix(root))
        await self._app(scope, receive, send_with_path)


def _at(scope: Scope, path: str) -> Scope:
    """The request for another path; the first page's is empty."""
    return {**scope, "path": path or "/", "raw_path": quote(path or "/").encode()}


def _refused(why: str, status: int) -> Response:
    return PlainTextResponse(why + "\n", status)
