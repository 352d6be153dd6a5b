"""The dialogue: one input's critique-and-revise conversation, as a LangGraph state machine.

    draft -> (tournament ->) compare -> critique -> revise -> compare -> (critique | demonstrate | end)
    draft -> teacher_logprobs -> end, where the objective learns from drafts

The state holds ids and small numbers; texts live in the store. Every turn is on its way to the
store the moment it is said, and holding the dialogue again finds it there (see `graph.rollout.recording`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from ...agents.critique import advice
from ...core.records import PreferenceSource, TurnKind
from ...store.writes import adding_new
from .preferences import teacher_preference
from .recording import asked_from, record_critique, record_demonstrations, request_id
from .selection import most_different_pair, valid_drafts
from .session import DialogueSession
from .tournament import Match, best_and_worst


class DialogueState(TypedDict, total=False):
    """Where a dialogue stands. Turns are named by their ids."""

    adapter_version: int
    overused: list[str]
    """Endings heard too often before this round began."""
    next_seq: int
    best: str | None
    """The student's best text so far."""
    challenger: str | None
    """What it is to be compared with."""
    contenders: list[str]
    """Drafts that play a tournament for best and challenger, or of which the teacher says how likely it finds them."""
    critique: str
    revisions: int
    stop_reason: str
    """Why the conversation is over, where it did not just run out of revisions."""
    final: str | None
    """The turn it arrived at; by default the student's best."""


DialogueGraph = CompiledStateGraph[DialogueState, DialogueSession, DialogueState, DialogueState]
Node = Callable[[DialogueState, Runtime[DialogueSession]], Awaitable[DialogueState]]
Way = Callable[[DialogueState, Runtime[DialogueSession]], str]
"""Which node comes next; where it may lead is what it says it returns."""


async def draft(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The student drafts candidates; the most different two of similar length go to the critic."""
    session = runtime.context
    settings, agent = session.run.config.dialogue, session.run.student
    template, sampling = agent.template("draft"), session.run.config.student.sampling
    ids = [request_id(session.dialogue, seq) for seq in range(settings.candidates)]
    requests = agent.candidates(ids, session.example.value, sampling, state["adapter_version"])
    drafts = await asyncio.gather(
        *(
            session.say(seq, TurnKind.DRAFT, request, template, overused=state["overused"])
            for seq, request in enumerate(requests)
        )
    )
    valid = valid_drafts(drafts)
    if session.run.config.training.from_drafts:
        said = [draft.id for draft in drafts]
        best = valid[0].id if valid else None
        return {"next_seq": settings.candidates, "revisions": 0, "contenders": said, "best": best, "challenger": None}
    following: DialogueState = {"next_seq": settings.candidates, "revisions": 0, "contenders": []}
    if not valid:
        return {**following, "best": None, "challenger": None}
    if settings.selection == "tournament" and len(valid) > 2:
        return {**following, "best": None, "challenger": None, "contenders": [draft.id for draft in valid]}
    pair = most_different_pair(valid, session.run.config.preferences.length_ratio)
    if pair is None:
        return {**following, "best": valid[0].id, "challenger": None}
    return {**following, "best": pair[0].id, "challenger": pair[1].id}


async def teacher_logprobs(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The teacher says how likely it finds each token of every draft, those that gates turned away included."""
    session, seq = runtime.context, state["next_seq"]
    drafts = [session.turn(draft) for draft in state["contenders"]]
    await asyncio.gather(*(session.teacher_logprobs(seq + place, draft) for place, draft in enumerate(drafts)))
    return {"next_seq": seq + len(drafts), "stop_reason": "teacher's log-probabilities taken"}


async def tournament(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The critic finds the best and the worst of the drafts; every comparison may become a preference."""
    session = runtime.context
    seq, met = state["next_seq"], set[frozenset[str]]()

    async def play(matches: Sequence[Match[str]]) -> list[bool]:
        nonlocal seq
        pairs = [(session.turn(first), session.turn(second)) for first, second in matches]
        asked = (session.ask(seq, first, second, state["overused"]) for first, second in pairs)
        comparisons = await asyncio.gather(*asked)
        won = []
        for (first, second), comparison in zip(pairs, comparisons, strict=True):
            verdict, seq = await session.record(seq, comparison, first, second, "candidates")
            met.add(frozenset((first.id, second.id)))
            won.append(verdict.p_first >= 0.5)
        return won

    best, worst = await best_and_worst(state["contenders"], play)
    return {"next_seq": seq, "best": best, "challenger": None if frozenset((best, worst)) in met else worst}


async def compare(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The critic compares best and challenger in both orders; a clear verdict makes a preference."""
    session = runtime.context
    best, challenger = session.turn(state["best"]), session.turn(state["challenger"])
    comparison = await session.ask(state["next_seq"], best, challenger, state["overused"])
    revised = challenger.kind is TurnKind.REVISION
    source: PreferenceSource = "revision" if revised else "candidates"
    verdict, next_seq = await session.record(state["next_seq"], comparison, best, challenger, source)
    challenger_won = verdict.outcome == "loss"
    following: DialogueState = {
        "next_seq": next_seq,
        "best": challenger.id if challenger_won else best.id,
        "challenger": None,
    }
    if revised and challenger_won:
        return {**following, "stop_reason": "revision accepted", "final": challenger.id}
    return following


async def critique(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The critic says what the best text lacks."""
    session = runtime.context
    target = session.turn(state["best"])
    with asked_from(session.dialogue, state["next_seq"]):
        origin, written = await session.run.critic.criticise(
            session.example.value, target.content, overused=state["overused"], attempt=state["revisions"]
        )
    row = await record_critique(session.writes, session.dialogue, state["next_seq"], origin, written, target)
    session.critiques[row.turn_id] = row
    return {"next_seq": state["next_seq"] + 1, "critique": row.turn_id}


async def revise(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The student writes its best text again, the critique before its eyes."""
    session = runtime.context
    best, seq = session.turn(state["best"]), state["next_seq"]
    written = session.critiques[state["critique"]]
    said = advice(written.works, written.missing, written.suggestion)
    agent, sampling = session.run.student, session.run.config.student.sampling
    request = agent.revise(
        request_id(session.dialogue, seq), session.example.value, best.content, said, sampling, state["adapter_version"]
    )
    template = agent.template("revise")
    revision = await session.say(seq, TurnKind.REVISION, request, template, parent=best.id, overused=state["overused"])
    usable = revision.note is None and revision.content_hash != best.content_hash
    return {
        "next_seq": seq + 1,
        "revisions": state["revisions"] + 1,
        "challenger": revision.id if usable else None,
    }


async def demonstrate(state: DialogueState, runtime: Runtime[DialogueSession]) -> DialogueState:
    """The student did not get there: the teacher shows how it is done."""
    session = runtime.context
    # An ordinal of its own, so that this is not the demonstration of the imitation phase over again.
    with asked_from(session.dialogue, state["next_seq"]):
        shown = await session.run.teacher.demonstrate(
            session.example.value, 1, overused=state["overused"], ordinal=1 + session.dialogue.round
        )
    turns, next_seq = await record_demonstrations(session.writes, session.dialogue, state["next_seq"], shown)
    if not turns:
        reason = "teacher refused" if shown.refused else "teacher wrote no answer"
        return {"next_seq": next_seq, "stop_reason": reason, "final": state["best"]}
    [turn] = turns
    if state["best"] is None:
        await session.keep_gate_preferences(turn)
    else:
        preference = teacher_preference(session.dialogue, turn, session.turn(state["best"]))
        await session.writes.keep(adding_new(preference))
    return {"next_seq": next_seq, "stop_reason": "teacher demonstrated", "final": turn.id}


def after_draft(
    state: DialogueState, runtime: Runtime[DialogueSession]
) -> Literal["teacher_logprobs", "tournament", "compare", "critique", "demonstrate", "__end__"]:
    """Two texts are compared, one is criticised where it may be revised, none leaves it to the teacher."""
    if runtime.context.run.config.training.from_drafts:
        return "teacher_logprobs"
    if state.get("contenders"):
        return "tournament"
    if state["best"] is None:
        return given_up(runtime)
    return "compare" if state["challenger"] is not None else after_try(state, runtime)


def after_tournament(
    state: DialogueState, runtime: Runtime[DialogueSession]
) -> Literal["compare", "critique", "demonstrate", "__end__"]:
    """Best and worst are compared unless they have met."""
    return "compare" if state["challenger"] is not None else after_try(state, runtime)


def after_compare(
    state: DialogueState, runtime: Runtime[DialogueSession]
) -> Literal["critique", "demonstrate", "__end__"]:
    """An accepted revision ends the dialogue; else there is another try, or the teacher's turn."""
    if "stop_reason" in state:
        return "__end__"
    return after_try(state, runtime)


def after_revise(
    state: DialogueState, runtime: Runtime[DialogueSession]
) -> Literal["compare", "critique", "demonstrate", "__end__"]:
    """A revision that says something new is compared; any other was a try for nothing."""
    return "compare" if state["challenger"] is not None else after_try(state, runtime)


def after_try(state: DialogueState, runtime: Runtime[DialogueSession]) -> Literal["critique", "demonstrate", "__end__"]:
    """Another critique while there is one to be had and revisions are left, else the student is given up on."""
    run = runtime.context.run
    if run.critic.writes and state["revisions"] < run.config.dialogue.max_revisions:
        return "critique"
    return given_up(runtime)


def given_up(runtime: Runtime[DialogueSession]) -> Literal["demonstrate", "__end__"]:
    """The teacher demonstrates where it may."""
    return "demonstrate" if runtime.context.run.config.dialogue.teacher_fallback else "__end__"


def build_dialogue_graph() -> DialogueGraph:
    """The dialogue's state machine, compiled. Run it with a `DialogueSession` as its context."""
    graph: StateGraph[DialogueState, DialogueSession, Any, Any] = StateGraph(
        DialogueState, context_schema=DialogueSession
    )
    ways: dict[Node, Way] = {
        draft: after_draft,
        tournament: after_tournament,
        compare: after_compare,
        revise: after_revise,
    }
    for node in (draft, teacher_logprobs, tournament, compare, critique, revise, demonstrate):
        if (way := ways.get(node)) is None:
            graph.add_node(node.__name__, node)
        else:
            ends = get_args(get_type_hints(way)["return"])
            graph.add_node(node.__name__, _going_on(node, way), destinations=ends)
    graph.add_edge(START, "draft")
    graph.add_edge("critique", "revise")
    graph.add_edge("teacher_logprobs", END)
    graph.add_edge("demonstrate", END)
    # The store alone says where a dialogue stands, whatever the tool that opens the graph would keep.
    return graph.compile(checkpointer=False, name="dialogue")


def _going_on(node: Node, way: Way) -> Callable[..., Awaitable[Command[str]]]:
    """The node, which says itself where it leads: a conditional edge costs as much as the node does."""

    async def act(state: DialogueState, runtime: Runtime[DialogueSession]) -> Command[str]:
        said = await node(state, runtime)
        return Command(update=said, goto=way({**state, **said}, runtime))

    return act
