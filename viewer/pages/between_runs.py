"""Runs beside each other: what differs in their configuration, their curves, and what one gains over the other."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...core.errors import ConfigError
from ..between_runs import DRAWN, MOST, compare_runs, curves
from ..site import AtSite

PATIENCE_S = 2.0
"""How long a page waits for the gains; afterwards it fills itself in."""

router = APIRouter()


@router.get("/compare")
def between_runs(request: Request, site: AtSite, run: Annotated[list[str] | None, Query()] = None) -> Response:
    """The comparison of the runs that are named; the first of them is what others are measured against."""
    runs = list({found.id: found for found in map(site.run, run or [])}.values())
    if len(runs) > MOST:
        raise ConfigError(f"At most {MOST} runs can be compared at once, not {len(runs)}.")
    if len(runs) < 2:
        return site.page(request, "between_runs.html", runs=runs, found=None, chart=None, drawn=DRAWN)
    key = ("between", *((one.id, one.status, one.finished_at) for one in runs))
    final = all(one.status == "finished" for one in runs)
    found = site.slow.get(key, lambda: compare_runs(site.store, runs), final=final, patience_s=PATIENCE_S)
    chart = None if found is None else curves(found)
    return site.page(request, "between_runs.html", runs=runs, found=found, chart=chart, drawn=DRAWN)
