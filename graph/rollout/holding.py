"""Holding one dialogue to its end, whoever holds it: the driver, or one of several workers."""

from collections.abc import Sequence
from functools import cache

from ...core.errors import ITEM_ERRORS
from ...store import Dialogue
from ..context.run_context import RunContext
from .dialogue import DialogueGraph, DialogueState, build_dialogue_graph
from .recording import finish_dialogue
from .session import DialogueSession


async def hold(
    context: RunContext,
    dialogue: Dialogue,
    version: int,
    overused: Sequence[str],
    *,
    new: bool = False,
) -> None:
    """Hold one dialogue to its end and record how it ended. In a `new` one the student has said nothing yet."""
    session = await DialogueSession.begin(context, dialogue, new=new)
    try:
        begun: DialogueState = {"adapter_version": version, "overused": list(overused)}
        state = (await _graph().ainvoke(begun, context=session, version="v2")).value
    except ITEM_ERRORS as error:
        await session.writes.settle()
        await finish_dialogue(context.store, dialogue, error=error)
        return
    if state["best"] is not None:
        await session.keep_gate_preferences(session.turn(state["best"]))
    await session.writes.settle()
    revises = context.config.dialogue.max_revisions and context.critic.writes
    tried = "revisions used up" if revises else "compared"
    await finish_dialogue(
        context.store,
        dialogue,
        stop_reason=state.get("stop_reason", tried if state["best"] is not None else "no valid draft"),
        final=state.get("final", state["best"]),
    )


@cache
def _graph() -> DialogueGraph:
    return build_dialogue_graph()
