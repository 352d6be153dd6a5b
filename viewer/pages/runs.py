"""All runs."""

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...store.search.runs import RunLine, newest_runs
from ..run_facts import headline_of
from ..site import AtSite, Site

MOST = 200
"""Runs on the page: the newest."""
PATIENCE_S = 0.3
"""How long the list waits for the gains of all its runs; the others are there when it is loaded again."""

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
    until = time.monotonic() + PATIENCE_S
    gains = {line.run.id: _gain(site, line, until - time.monotonic()) for line in lines}
    return {
        "lines": lines,
        "more": more,
        "live": any(line.standing == "running" for line in lines),
        "gains": gains,
        "notes": {line.run.id: _note(line) for line in lines},
    }


def _gain(site: Site, line: RunLine, patience_s: float) -> dict[str, Any] | None:
    """The gain in the run's first sentence, empty where it has none; None while it is worked out."""
    if line.tested is None:
        return {}
    found = headline_of(site, line.run, patience_s=max(0.0, patience_s))
    return None if found is None else found["gain"] or {}


def _note(line: RunLine) -> str:
    """What tells a run apart that nothing else in the list says."""
    run = line.run
    told = [
        f"experiment {run.experiment}, arm {run.arm}" if run.experiment else "",
        f"{run.kind} of {run.source_run_id}" if run.source_run_id else "",
        f"takes over from {run.reuses}" if run.reuses else "",
        (run.error or "").splitlines()[0] if run.error and run.error.strip() else "",
    ]
    return "; ".join(one for one in told if one)
