"""Results of a run's blind ratings: people's view of the student, the critic and each other."""

from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...core.config import EvaluationSettings, saved_section
from ...core.records import RatedPair, RatedPairs
from ...evaluation.human import RatingResults, rating_results
from ...evaluation.intervals import FEW
from ...store import Annotation, Run
from ...store.ratings import rated_pairs
from ...store.tables.annotation import CORRECTION, PREFERENCE
from ..site import AtSite, Site

MOST_REMARKS = 50
"""Remarks that are shown, the newest."""

router = APIRouter()


@router.get("/runs/{run}/ratings")
def ratings(request: Request, site: AtSite, run: str, what: RatedPairs = "test") -> Response:
    """The results, of pairs on test inputs or of those of dialogues."""
    return site.page(request, "ratings.html", part="parts/ratings.html", **_facts(site, site.run(run), what))


@router.get("/runs/{run}/ratings/live")
def live(request: Request, site: AtSite, run: str, what: RatedPairs = "test") -> Response:
    """The part of the page that changes, where it changed."""
    return site.live(request, "parts/ratings.html", **_facts(site, site.run(run), what))


def _facts(site: Site, run: Run, what: RatedPairs) -> dict[str, Any]:
    settings = saved_section(run, "evaluation", EvaluationSettings)
    told = site.store.select(Annotation, run_id=run.id, name=[PREFERENCE, CORRECTION], order_by="created_at")
    return {
        "run": run,
        "what": what,
        "critic": "judge" if what == "test" else "critic",
        "results": _results(tuple(rated_pairs(site.store, run, what)), settings, run.seed),
        "confidence": settings.confidence,
        "remarks": [row for row in reversed(told) if row.explanation][:MOST_REMARKS],
        "enough": FEW,
    }


@lru_cache(maxsize=16)  # a page that is open asks every few seconds, and mostly nobody has rated in between
def _results(pairs: tuple[RatedPair, ...], settings: EvaluationSettings, seed: int) -> RatingResults:
    return rating_results(pairs, settings, seed)
