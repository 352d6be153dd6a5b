"""What an adapter said of held-out inputs, as a table by outcome and score."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from ...core.errors import ConfigError
from ...core.records import JudgedOutput, Outcome, Split
from ...store import Evaluation
from ...store.search.judged import judged_outputs
from ..site import AtSite
from ..templating import url

PAGE = 50
OUTCOMES: tuple[Outcome, ...] = ("win", "tie", "loss")

router = APIRouter()


@router.get("/runs/{run}/samples")
def samples(
    request: Request,
    site: AtSite,
    run: str,
    version: int | None = None,
    split: Split = Split.TEST,
    outcome: Outcome | None = None,
    text: str = "",
    sort: str = "input",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Response:
    """One page of the outputs of one adapter, the last that was judged where none is named.

    `sort` is `input`, `length`, `outcome` or a scorer's name, with `-` in front for the other way round.
    """
    if any(value == "" for value in request.query_params.values()):
        return RedirectResponse(url(request.url.path, dict(request.query_params)), 303)
    found = site.run(run)
    rows = site.store.select(Evaluation, run_id=found.id, split=split, status="finished", order_by="adapter_version")
    evaluations = {row.adapter_version: row for row in rows}
    shown = version if version is not None else max(evaluations, default=None)
    if shown is not None and shown not in evaluations:
        listed = ", ".join(f"v{known}" for known in evaluations) or "none of its adapters was yet"
        raise ConfigError(f"adapter v{shown} of run {found.id} was not judged on {split} inputs; {listed} were")
    outputs = [] if shown is None else judged_outputs(site.store, evaluations[shown].id)
    scorers = list(dict.fromkeys(name for one in outputs for name in one.scores))
    wanted = [one for one in outputs if outcome in {None, one.outcome} and _holds(one, text)]
    ordered = _sorted(wanted, sort, scorers)
    pages = max(1, -(-len(ordered) // PAGE))
    query: dict[str, Any] = {"version": shown, "split": split.value, "outcome": outcome, "text": text, "sort": sort}
    return site.page(
        request,
        "samples.html",
        run=found,
        versions=list(evaluations),
        version=shown,
        splits=[Split.TEST, Split.DEV],
        split=split,
        outcomes=OUTCOMES,
        outcome=outcome,
        text=text,
        sort=sort,
        sorts={"input": "input", "length": "length", "outcome": "outcome", **{name: name for name in scorers}},
        scorers=scorers,
        outputs=ordered[(page - 1) * PAGE : page * PAGE],
        total=len(ordered),
        page_number=page,
        pages=pages,
        query=query,
    )


def _holds(output: JudgedOutput, text: str) -> bool:
    wanted = text.strip().casefold()
    return not wanted or any(wanted in said.casefold() for said in (output.source, output.text, output.reference))


def _sorted(outputs: Sequence[JudgedOutput], sort: str, scorers: Sequence[str]) -> list[JudgedOutput]:
    """In the order that is asked for; outputs without the score that is sorted by come last."""
    name, backwards = sort.removeprefix("-"), sort.startswith("-")
    if name == "input":
        return sorted(outputs, key=lambda one: (one.source, one.input_id), reverse=backwards)
    if name == "length":
        return sorted(outputs, key=lambda one: (one.length_ratio, one.input_id), reverse=backwards)
    if name == "outcome":
        return sorted(outputs, key=lambda one: (OUTCOMES.index(one.outcome), one.input_id), reverse=backwards)
    if name not in scorers:
        raise ConfigError(f"sort={sort!r}: there are {', '.join(['input', 'length', 'outcome', *scorers])}")
    scored = sorted(
        (one for one in outputs if name in one.scores),
        key=lambda one: (one.scores[name], one.input_id),
        reverse=backwards,
    )
    return scored + [one for one in outputs if name not in one.scores]
