"""The dialogues of a run: filtered, sorted, and page by page at addresses that stay."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ...core.records import Agent, Split, Stage
from ...store import Adapter, Run
from ...store.search.judged import outcomes_in, splits_of
from ...store.tags import tags_of
from ..query import NAMES, ORDERS, STATUSES, VERDICTS, Asked, asked
from ..run_facts import counted
from ..site import AtSite, Site
from ..templating import url
from ..texts import plain

PAGE = 50
PATIENCE_S = 0.1
"""How long a page waits until the dialogues under its filter are counted."""
COUNTED = 1000
"""How many dialogues that hold a text are counted: a common word is in very many."""

router = APIRouter()


@router.get("/runs/{run}/dialogues")
def dialogues(request: Request, site: AtSite, run: str, after: str | None = None) -> Response:
    """One page of the list."""
    if any(value == "" for value in request.query_params.values()):
        # A form sends its empty fields too; an address that can be shared has none.
        return RedirectResponse(url(request.url.path, dict(request.query_params)), 303)
    found = site.run(run)
    wanted = asked(request.query_params)
    lines = site.store.dialogues(found.id, wanted.filter, order=wanted.order, limit=PAGE + 1, after=after or None)
    page = lines[:PAGE]
    return site.page(
        request,
        "dialogues.html",
        run=found,
        asked=wanted,
        lines=page,
        tags=tags_of(site.store, [line.dialogue.id for line in page]),
        splits=splits_of(site.store, found, [line.dialogue.example_id for line in page]),
        outcomes=outcomes_in(site.store, [line.dialogue for line in page]),
        total=_total(site, found, wanted),
        most=_most(wanted),
        after=after,
        next_after=page[-1].dialogue.id if len(lines) > PAGE else None,
        choices=_choices(site, found),
        names=NAMES,
    )


@router.get("/runs/{run}/dialogues/count")
def count(request: Request, site: AtSite, run: str) -> Response:
    """How many there are, for a page that did not wait for it."""
    found = site.run(run)
    wanted = asked(request.query_params)
    total = _total(site, found, wanted)
    return site.live(request, "parts/total.html", run=found, asked=wanted, total=total, most=_most(wanted))


def _total(site: Site, run: Run, wanted: Asked) -> int | None:
    """How many dialogues there are under the filter, or one more than are counted; None while that goes on."""
    most = _most(wanted)
    key = ("dialogues", run.id, run.status, run.finished_at, wanted.filter)
    # Tags come and go after a run has ended.
    final = run.status == "finished" and wanted.filter.tag is None
    total: int | None = site.slow.get(
        key,
        lambda: site.store.count_dialogues(run.id, wanted.filter, most=None if most is None else most + 1),
        final=final,
        patience_s=PATIENCE_S,
    )
    return total


def _most(wanted: Asked) -> int | None:
    """How many dialogues are counted under the filter; None for all."""
    return COUNTED if wanted.filter.text is not None else None


def _choices(site: Site, run: Run) -> dict[str, Any]:
    """What the fields of the form offer."""
    counts = counted(site, run)
    return {
        "stages": list(Stage),
        "splits": list(Split),
        "agents": list(Agent),
        "statuses": STATUSES,
        "verdicts": VERDICTS,
        "orders": ORDERS,
        "versions": [row.version for row in site.store.select(Adapter, run_id=run.id, order_by="version")],
        "stop_reasons": [reason for reason in counts["stop_reasons"] if plain(reason) == reason] if counts else [],
    }
