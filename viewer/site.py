"""What all pages share: the store, the templates, and figures that take long to count."""

import re
from threading import Lock
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, Response

from ..core.ids import content_hash
from ..store import Dialogue, Run, Store
from .slow import SlowValues
from .templating import environment

_OWN_ADDRESS = re.compile(r'( (?:href|src|action|hx-get|hx-post)=")(?=/(?!/))')
"""Where one of our own pages is addressed. Texts cannot look so: their quotation marks are escaped."""


class Site:
    """One per application. Everything in it may be used from any thread."""

    def __init__(self, store: Store, address: str, root_path: str = "") -> None:
        self.store = store
        """Opened for reading: it holds up no run that is under way."""
        self.slow = SlowValues()
        self._address = address
        self._root_path = root_path
        self._templates = environment()
        self._writer: Store | None = None
        self._lock = Lock()

    def run(self, name: str) -> Run:
        """The run by its id, or as `Store.resolve_run` finds it.

        Raises:
            NotFoundError: There is none, or more than one.
        """
        return self.store.get(Run, name) or self.store.resolve_run(name)

    def dialogue(self, name: str) -> Dialogue:
        """The dialogue by its id, which is found at once, or as `Store.resolve_dialogue` finds it.

        Raises:
            NotFoundError: There is none, or more than one.
        """
        return self.store.get(Dialogue, name) or self.store.resolve_dialogue(name)

    def writer(self) -> Store:
        """The store, opened for writing the first time something is to be written.

        Raises:
            StoreError: It cannot be written.
        """
        with self._lock:
            if self._writer is None:
                self._writer = Store.open(self._address)
            return self._writer

    def close(self) -> None:
        """Close the store's connections, when nothing is being counted any more."""
        self.slow.close()
        self.store.close()
        with self._lock:
            if self._writer is not None:
                self._writer.close()

    def page(
        self, request: Request, template: str, *, status: int = 200, part: str | None = None, **values: Any
    ) -> Response:
        """A template filled in. Every template has `request` and `store_name`.

        Args:
            request: What is answered.
            template: The page's template.
            status: The answer's status.
            part: The template of the part that `live` sends anew, if the page has one. It gets its `digest`.
            **values: What the template shows.
        """
        if part is not None:
            values["digest"] = self._digest(request, part, values)
        return HTMLResponse(self._render(request, template, values), status)

    def live(self, request: Request, template: str, **values: Any) -> Response:
        """A part of a page that a browser asks for again and again: nothing (204) where it has it already.

        The template gets `digest`, which it hands back as `?seen=` when it asks again. The browser's page is therefore
        left alone, with what is selected or unfolded in it, for as long as nothing happened.
        """
        digest = self._digest(request, template, values)
        if request.query_params.get("seen") == digest:
            return Response(status_code=204)
        return HTMLResponse(self._render(request, template, {**values, "digest": digest}))

    def _digest(self, request: Request, template: str, values: dict[str, Any]) -> str:
        """What a part of a page says, as a hash."""
        return content_hash(self._render(request, template, {**values, "digest": ""}))[:16]

    def _render(self, request: Request, template: str, values: dict[str, Any]) -> str:
        page = self._templates.get_template(template).render(request=request, store_name=self.store.url, **values)
        return _OWN_ADDRESS.sub(rf"\g<1>{self._root_path}", page) if self._root_path else page


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


AtSite = Annotated[Site, Depends(_site)]
"""The parameter of a page that gives it the site."""
