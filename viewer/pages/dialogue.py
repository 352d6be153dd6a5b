"""One dialogue: what was said turn by turn, and the way to the next one under the same filter."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ...core.errors import ConfigError
from ...store import Annotation
from ...store.search.judged import outcomes_in, splits_of
from ...store.tables.annotation import CORRECTION, PREFERENCE, TAG
from ...store.tags import UNTAG, tag_changes, tags_of
from ..conversation_view import blocks, names
from ..form import SentForm
from ..query import asked
from ..site import AtSite
from ..templating import url

LONGEST = 60
"""Characters of a tag, and of a name."""

router = APIRouter()


@router.get("/dialogues/{dialogue}")
def dialogue(request: Request, site: AtSite, dialogue: str) -> Response:
    """The conversation, with its neighbours among the dialogues that the query asks for."""
    found = site.dialogue(dialogue)
    wanted = asked(request.query_params)
    conversation = site.store.conversation(found.id)
    before, following = site.store.neighbours(found.id, wanted.filter, wanted.order)
    annotations = site.store.select(Annotation, dialogue_id=found.id, order_by="created_at")
    return site.page(
        request,
        "dialogue.html",
        conversation=conversation,
        run=conversation.run,
        dialogue=conversation.dialogue,
        blocks=blocks(site.store, conversation),
        split=splits_of(site.store, conversation.run, [found.example_id]).get(found.example_id),
        outcome=outcomes_in(site.store, [found]).get(found.id),
        final=next((turn for turn in conversation.turns if turn.id == found.final_turn_id), None),
        names=names(conversation),
        tags=tags_of(site.store, [found.id]).get(found.id, []),
        # A person's blind rating names no winner to those who may still have to rate.
        remarks=[row for row in annotations if row.name not in {TAG, UNTAG, PREFERENCE, CORRECTION}],
        asked=wanted,
        before=before,
        following=following,
    )


@router.post("/dialogues/{dialogue}/tags")
def tag(request: Request, site: AtSite, dialogue: str, form: SentForm) -> Response:
    """Put a tag on a dialogue, or take it off, and show the dialogue again."""
    label, author = (" ".join(form.get(name, "").split()) for name in ("tag", "author"))
    for what, value in (("A tag", label), ("Your name", author)):
        if not 0 < len(value) <= LONGEST:
            raise ConfigError(f"{what} has between 1 and {LONGEST} characters.")
    found = site.dialogue(dialogue)
    writer = site.writer()
    changes = tag_changes(writer, found, [label], author=author, remove=form.get("remove") == "true")
    if changes:
        writer.add(*changes)
    return RedirectResponse(url(f"/dialogues/{found.id}", asked(request.query_params).query), 303)
