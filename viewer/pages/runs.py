"""All runs."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...core.records import Split
from ...store import Adapter, Evaluation, Run
from ...store.liveness import live_status
from ..site import AtSite, Site

MOST = 200
"""Runs on the page: the newest."""

router = APIRouter()


@router.get("/")
def runs(request: Request, site: AtSite) -> Response:
    """The newest runs, each with what its adapters achieved."""
    return site.page(request, "runs.html", part="parts/runs.html", **_newest(site))


@router.get("/runs-live")
def live(request: Request, site: AtSite) -> Response:
    """The table alone, where it changed."""
    return site.live(request, "parts/runs.html", **_newest(site))


def _newest(site: Site) -> dict[str, Any]:
    found = site.store.select(Run, order_by="-created_at", limit=MOST + 1)
    page = found[:MOST]
    ids = [run.id for run in page]
    rates: dict[tuple[str, int], dict[str, Any]] = {
        (row.run_id, row.adapter_version): row.summary
        for row in site.store.select(Evaluation, run_id=ids, split=Split.TEST, status="finished")
    }
    promoted: dict[str, Adapter] = {}
    for adapter in site.store.select(Adapter, run_id=ids, status="promoted", order_by="version"):
        promoted[adapter.run_id] = adapter
    standing = {run.id: live_status(site.store, run) for run in page}
    return {
        "runs": page,
        "standing": standing,
        "more": len(found) > MOST,
        "promoted": promoted,
        "rates": {run_id: rates.get((run_id, adapter.version)) for run_id, adapter in promoted.items()},
        "live": "running" in standing.values(),
    }
