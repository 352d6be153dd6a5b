"""One adapter: what it learned from, what it began from, and how it did."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...store.lineage.explain import explain_adapter
from ..site import AtSite

SHOWN = 100
"""Things it learned from that are shown, unless all are asked for."""

router = APIRouter()


@router.get("/adapters/{run}/{version}")
def adapter(request: Request, site: AtSite, run: str, version: int, every: bool = False) -> Response:
    """The lineage, both ways."""
    found = site.run(run)
    lineage = explain_adapter(site.store, found.id, version, limit=None if every else SHOWN)
    uri = lineage.adapter.uri
    place = None if uri is None else site.store.located(uri)
    return site.page(request, "adapter.html", lineage=lineage, run=found, place=place)
