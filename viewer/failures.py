"""Error pages: nothing by that name, a query that cannot be meant, a store that cannot be read."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ..core.errors import ConfigError, NotFoundError, OpenmicError
from .site import Site

_TITLES = {400: "That cannot be asked", 404: "Nothing here", 405: "That cannot be done", 503: "The store has trouble"}


def add_failures(app: FastAPI) -> None:
    """Have every failure that a person can mend answered with a page that says what it was.

    `NotFoundError` is 404, `ConfigError` (a query that cannot be meant) 400, and any other error of openmic 503.
    """

    def page(request: Request, status: int, message: str) -> Response:
        site: Site = request.app.state.site
        title = _TITLES.get(status, "It did not work")
        return site.page(request, "failure.html", status=status, title=title, message=message)

    async def of_openmic(request: Request, error: Exception) -> Response:
        status = 404 if isinstance(error, NotFoundError) else 400 if isinstance(error, ConfigError) else 503
        return page(request, status, str(error))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = "There is no such page." if error.status_code == 404 else error.detail
        return page(request, error.status_code, message)

    async def of_parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = (f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors())
        return page(request, 400, "; ".join(problems))

    app.add_exception_handler(OpenmicError, of_openmic)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_parameters)
