"""All runs."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...store.search.runs import newest_runs
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
    lines, more = newest_runs(site.store, MOST)
    return {"lines": lines, "more": more, "live": any(line.standing == "running" for line in lines)}
