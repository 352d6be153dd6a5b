"""One adapter: what it learned from, what it began from, and how it did."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...store.lineage.explain import explain_adapter
from ..site import AtSite

PAGE = 50
"""Things it learned from that are on one page."""

router = APIRouter()


@router.get("/adapters/{run}/{version}")
def adapter(
    request: Request, site: AtSite, run: str, version: int, page: Annotated[int, Query(ge=1, le=10**6)] = 1
) -> Response:
    """The lineage, both ways, with one page of what it learned from."""
    found = site.run(run)
    lineage = explain_adapter(site.store, found.id, version, limit=PAGE, skip=(page - 1) * PAGE)
    uri = lineage.adapter.uri
    place = None if uri is None else site.store.shown_place(uri)
    return site.page(
        request,
        "adapter.html",
        lineage=lineage,
        run=found,
        place=place,
        page_number=page,
        first=(page - 1) * PAGE,
        pages=max(1, -(-lineage.learned_total // PAGE)),
    )
