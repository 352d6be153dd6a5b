"""One run: how its adapters did, what was learned and spent, and what is happening now."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...store import Run
from ...store.cast_notes import cast_notes
from ...store.liveness import live_status
from ..run_facts import adapters_of, counted, headline_of, learning_of, now_of
from ..site import AtSite, Site

router = APIRouter()


@router.get("/runs/{run}")
def run(request: Request, site: AtSite, run: str) -> Response:
    """Everything about a run that is not in its dialogues."""
    found = site.run(run)
    return site.page(request, "run.html", part="parts/run.html", **_facts(site, found))


@router.get("/runs/{run}/live")
def live(request: Request, site: AtSite, run: str) -> Response:
    """The part of the page that changes, where it changed."""
    found = site.run(run)
    return site.live(request, "parts/run.html", **_facts(site, found))


def _facts(site: Site, run: Run) -> dict[str, Any]:
    standing = live_status(site.store, run)
    return {
        "run": run,
        "folder": site.store.shown_place(run.home),
        "headline": headline_of(site, run),
        "versions": adapters_of(site.store, run),
        "learning": learning_of(site.store, run),
        "standing": standing,
        "now": now_of(site.store, run, standing),
        "counts": counted(site, run),
        "notes": cast_notes(run.cast),
    }
