"""The viewer as an ASGI application. Whoever serves it chooses where it listens; see `serving`."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from ..store import Store
from .failures import add_failures
from .guard import LOOPBACK, Guard
from .pages import adapter, compare, dialogue, dialogues, export, help_page, rating, ratings, run, runs, search, turn
from .site import Site

STATIC = Path(__file__).parent / "static"
ROUTERS = (
    runs.router,
    run.router,
    dialogues.router,
    dialogue.router,
    compare.router,
    search.router,
    turn.router,
    adapter.router,
    export.router,
    rating.router,
    ratings.router,
    help_page.router,
)


def create_app(
    store_url: str, *, token: str | None = None, allowed_hosts: Collection[str] | None = LOOPBACK
) -> FastAPI:
    """The pages over a store.

    The store is opened here for reading and closed when the application shuts down; for what an annotation writes it is
    opened again, for writing, the first time one is made.

    Args:
        store_url: As for `Store.open_readonly`.
        token: A secret without which nothing is shown: it is taken from `?token=` once, and kept in a cookie.
        allowed_hosts: The host names that a request may be addressed to; None for any, which is safe with a token only.

    Raises:
        StoreError: The store cannot be opened.
        ValueError: Any host is allowed and no token is asked for.
    """
    site = Site(Store.open_readonly(store_url), store_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        site.close()

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="openmic", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    app.add_middleware(Guard, token=token, allowed_hosts=allowed_hosts)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in ROUTERS:
        app.include_router(router)
    # Browsers ask for it where a page names none, as a plain text cannot.
    app.add_api_route("/favicon.ico", _icon)
    add_failures(app)
    return app


def _icon() -> FileResponse:
    return FileResponse(STATIC / "icon.svg")
