"""Page of one turn: its lineage, its text, and its request and reply as they are."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from ...core.errors import NotFoundError
from ...store import ExampleRow, LLMCall, Turn
from ...store.lineage.explain import explain_turn
from ..conversation_view import asked_turn
from ..site import AtSite, Site

LEARNED = 20
"""Things that an adapter learned from, of those it was made of; its own page has more."""

router = APIRouter()


@router.get("/turns/{turn}")
def turn(request: Request, site: AtSite, turn: str) -> Response:
    """The lineage, both ways."""
    lineage = explain_turn(site.store, turn, limit=LEARNED)
    said = lineage.said.turn
    asked = asked_turn(said, lineage.call, site.store.prompts([said.prompt_hash]))
    return site.page(request, "turn.html", lineage=lineage, asked=asked)


@router.get("/turns/{turn}/text")
def text(site: AtSite, turn: str) -> Response:
    """What was said, whole and unaltered."""
    return PlainTextResponse(_turn(site, turn).content)


@router.get("/turns/{turn}/raw")
def raw(site: AtSite, turn: str) -> Response:
    """The row, and the prompt, request and reply behind it."""
    found = _turn(site, turn)
    call = site.store.get(LLMCall, (found.run_id, found.request_key)) if found.request_key else None
    asked = None if call is None else call.model_dump(mode="json")
    prompt = site.store.prompts([found.prompt_hash]).get(found.prompt_hash or "")
    return JSONResponse({"turn": found.model_dump(mode="json"), "prompt": prompt, "call": asked})


@router.get("/examples/{example}/text")
def example_text(site: AtSite, example: str) -> Response:
    """An input, whole and unaltered."""
    found = site.store.get(ExampleRow, example)
    if found is None:
        raise NotFoundError(f"there is no input {example!r}")
    return PlainTextResponse(found.text)


def _turn(site: Site, identity: str) -> Turn:
    found = site.store.get(Turn, identity)
    if found is None:
        raise NotFoundError(f"there is no turn {identity!r}")
    return found
