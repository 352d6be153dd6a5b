"""The viewer as an ASGI application. Whoever serves it chooses where it listens; see `serving`."""

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from ..core.endpoints.listening import LOOPBACK
from ..store import Store
from .failures import add_failures
from .guard import Guard, UnderPath, Unslashed
from .pages import (
    adapter,
    between_runs,
    compare,
    dialogue,
    dialogues,
    export,
    help_page,
    rating,
    ratings,
    run,
    runs,
    samples,
    search,
    turn,
)
from .site import Site

_ROOT_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII)
STATIC = Path(__file__).parent / "static"
ROUTERS = (
    runs.router,
    run.router,
    dialogues.router,
    dialogue.router,
    compare.router,
    between_runs.router,
    samples.router,
    search.router,
    turn.router,
    adapter.router,
    export.router,
    rating.router,
    ratings.router,
    help_page.router,
)
PAGES = {"static", "favicon.ico"} | {
    str(getattr(route, "path", "/")).split("/")[1] for router in ROUTERS for route in router.routes
}
"""What the addresses of pages begin with."""


def create_app(
    store_url: str,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] | None = LOOPBACK,
    proxied_as: Collection[str] = (),
    root_path: str = "",
) -> FastAPI:
    """The pages over a store.

    The store is opened here for reading and closed when the application shuts down; for what an annotation writes it is
    opened again, for writing, the first time one is made.

    Args:
        store_url: As for `Store.open_readonly`.
        token: A secret without which nothing is shown: it is taken from `?token=` once, and kept in a cookie.
        allowed_hosts: The host names that a request may be addressed to; None for any, which is safe with a token only.
        proxied_as: Names, each with its port where that is not the usual one, under which a proxy shows the pages.
        root_path: The path under which a proxy shows them, such as `/openmic`. Requests may come with it or without.

    Raises:
        StoreError: The store cannot be opened.
        ValueError: Any host is allowed and no token is asked for; or the path is none, or begins like a page's.
    """
    if root_path and not _ROOT_PATH.fullmatch(root_path):
        raise ValueError(f"{root_path!r} is no path such as /openmic")
    if root_path and root_path.split("/")[1] in PAGES:
        raise ValueError(f"{root_path!r} begins as a page of the viewer does; take another, such as /openmic")
    site = Site(Store.open_readonly(store_url), store_url, root_path)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        site.close()

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="openmic", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    # Its redirects to a page's address without a last slash would name the proxied host.
    app.router.redirect_slashes = False
    app.add_middleware(Unslashed)
    app.state.site = site
    app.add_middleware(Guard, token=token, allowed_hosts=allowed_hosts, proxied_as=proxied_as, root_path=root_path)
    app.add_middleware(UnderPath, root_path=root_path)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in ROUTERS:
        app.include_router(router)
    # Browsers ask for it where a page names none, as a plain text cannot.
    app.add_api_route("/favicon.ico", _icon)
    add_failures(app)
    return app


def _icon() -> FileResponse:
    return FileResponse(STATIC / "icon.svg")
