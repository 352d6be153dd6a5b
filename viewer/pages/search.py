"""Full-text search, in one run or in all."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...store import Run
from ...store.search.search import search as find
from ..site import AtSite

PAGE = 25

router = APIRouter()


@router.get("/search")
def search(request: Request, site: AtSite, q: str = "", run: str | None = None, after: str | None = None) -> Response:
    """What holds the words of `q`, the best first."""
    found = site.run(run) if run else None
    wanted = q.strip()
    run_id = None if found is None else found.id
    hits = find(site.store, wanted, run_id=run_id, limit=PAGE + 1, after=after or None) if wanted else []
    runs = {row.id: row for row in site.store.select(Run, id=list({hit.dialogue.run_id for hit in hits}))}
    more = len(hits) > PAGE
    hits = hits[:PAGE]
    return site.page(
        request,
        "search.html",
        q=wanted,
        run=found,
        runs=runs,
        hits=hits,
        after=after,
        next_after=hits[-1].turn.id if more else None,
    )
