"""The dialogue: one input's critique-and-revise conversation, as a LangGraph state machine.

    draft -> compare -> critique -> revise -> compare -> (critique | demonstrate | end)

The state holds ids and small numbers; texts live in the store. A dialogue has no checkpoints of its own: every turn is
in the store the moment it is said, and holding the dialogue again finds it there (see `graph.recording`).
"""

import asyncio
from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..core.records import TurnKind
from ..store import Critique, Dialogue, Example, Turn
from .candidates import most_different_pair, valid_drafts
from .preferences import preference_from, teacher_preference
from .recording import llm_turn, record_critique, record_verdict, student_turn
from .runtime import RunContext


class DialogueState(TypedDict, total=False):
    """Where a dialogue stands. Turns are named by their ids."""

    dialogue_id: str
    adapter_version: int
    heard: list[str]
    """Endings heard too often before this round began."""
    next_seq: int
    best: str | None
    """The student's best text so far."""
    challenger: str | None
    """What it is to be compared with."""
    critique: str
    revisions: int
    stop_reason: str
    """Set when the conversation is over: why it ended."""
    final: str | None


DialogueGraph = CompiledStateGraph[DialogueState, RunContext, DialogueState, DialogueState]


async def draft(state: DialogueState, runtime: Runtime[RunContext]) -> DialogueState:
    """The student drafts candidates; the most different two of similar length go to the critic."""
    talk = _Talk(state, runtime.context)
    settings, agent = talk.context.config.dialogue, talk.context.student
    template, sampling = agent.template("draft"), talk.context.config.student.sampling
    drafts = await asyncio.gather(
        *(
            student_turn(
                talk.context,
                talk.dialogue,
                seq,
                TurnKind.DRAFT,
                agent.draft(f"{talk.dialogue.id}:{seq}", talk.text, sampling, state["adapter_version"]),
                template,
                source=talk.text,
            )
            for seq in range(settings.candidates)
        )
    )
    valid = valid_drafts(drafts)
    pair = most_different_pair(valid, settings.length_ratio)
    following: DialogueState = {"next_seq": settings.candidates, "revisions": 0}
    if not valid:
        return {**following, "best": None, "challenger": None}
    if pair is None:
        return {**following, "best": valid[0].id, "challenger": None}
    return {**following, "best": pair[0].id, "challenger": pair[1].id}


async def compare(state: DialogueState, runtime: Runtime[RunContext]) -> DialogueState:
    """The critic compares best and challenger in both orders; a clear verdict makes a preference."""
    talk = _Talk(state, runtime.context)
    best, challenger = talk.turn(state["best"]), talk.turn(state["challenger"])
    comparison = await talk.context.critic.compare(
        talk.text,
        best.content,
        challenger.content,
        tie_margin=talk.context.config.dialogue.tie_margin,
        heard=state["heard"],
    )
    verdict = record_verdict(talk.context, talk.dialogue, state["next_seq"], comparison, best, challenger)
    revised = challenger.kind is TurnKind.REVISION
    preference = preference_from(talk.dialogue, verdict, best, challenger, "revision" if revised else "candidates")
    if preference is not None:
        talk.context.store.add_new(preference)
    challenger_won = verdict.outcome == "loss"
    following: DialogueState = {
        "next_seq": state["next_seq"] + 2,
        "best": challenger.id if challenger_won else best.id,
        "challenger": None,
    }
    if revised and challenger_won:
        return {**following, "stop_reason": "revision accepted", "final": challenger.id}
    return following


async def critique(state: DialogueState, runtime: Runtime[RunContext]) -> DialogueState:
    """The critic says what the best text lacks."""
    talk = _Talk(state, runtime.context)
    target = talk.turn(state["best"])
    exchange, written = await talk.context.critic.criticise(talk.text, target.content, heard=state["heard"])
    turn = record_critique(talk.context, talk.dialogue, state["next_seq"], exchange, written, target)
    return {"next_seq": state["next_seq"] + 1, "critique": turn.id}


async def revise(state: DialogueState, runtime: Runtime[RunContext]) -> DialogueState:
    """The student writes its best text again, the critique before its eyes."""
    talk = _Talk(state, runtime.context)
    best, seq = talk.turn(state["best"]), state["next_seq"]
    written = talk.context.store.get(Critique, state["critique"])
    assert written is not None
    agent, sampling = talk.context.student, talk.context.config.student.sampling
    request = agent.revise(
        f"{talk.dialogue.id}:{seq}", talk.text, best.content, written.suggestion, sampling, state["adapter_version"]
    )
    revision = await student_turn(
        talk.context,
        talk.dialogue,
        seq,
        TurnKind.REVISION,
        request,
        agent.template("revise"),
        source=talk.text,
        parent=best.id,
    )
    usable = revision.note is None and revision.content_hash != best.content_hash
    return {
        "next_seq": seq + 1,
        "revisions": state["revisions"] + 1,
        "challenger": revision.id if usable else None,
    }


async def demonstrate(state: DialogueState, runtime: Runtime[RunContext]) -> DialogueState:
    """The student did not get there: the teacher shows how it is done."""
    talk = _Talk(state, runtime.context)
    # An ordinal of its own, so that this is not the demonstration of the imitation phase over again.
    shown = await talk.context.teacher.demonstrate(talk.text, 1, heard=state["heard"], ordinal=1 + talk.dialogue.round)
    reason = "teacher demonstrated" if shown.texts else "teacher refused"
    if not shown.texts:
        return {"stop_reason": reason, "final": state["best"]}
    turn = llm_turn(
        talk.context, talk.dialogue, state["next_seq"], TurnKind.DEMONSTRATION, shown.exchange, text=shown.texts[0]
    )
    if talk.context.config.dialogue.prefer_teacher and state["best"] is not None:
        talk.context.store.add_new(teacher_preference(talk.dialogue, turn, talk.turn(state["best"])))
    return {"next_seq": state["next_seq"] + 1, "stop_reason": reason, "final": turn.id}


def after_draft(state: DialogueState, runtime: Runtime[RunContext]) -> Literal["compare", "critique", "demonstrate"]:
    """Two texts are compared, one is criticised where it may be revised, none leaves it to the teacher."""
    if state["best"] is None:
        return "demonstrate"
    return "compare" if state["challenger"] is not None else after_try(state, runtime)


def after_compare(state: DialogueState, runtime: Runtime[RunContext]) -> Literal["critique", "demonstrate", "__end__"]:
    """An accepted revision ends the dialogue; else there is another try, or the teacher's turn."""
    if "stop_reason" in state:
        return "__end__"
    return after_try(state, runtime)


def after_revise(state: DialogueState, runtime: Runtime[RunContext]) -> Literal["compare", "critique", "demonstrate"]:
    """A revision that says something new is compared; any other was a try for nothing."""
    return "compare" if state["challenger"] is not None else after_try(state, runtime)


def after_try(state: DialogueState, runtime: Runtime[RunContext]) -> Literal["critique", "demonstrate"]:
    """Another critique while revisions are left, else the teacher demonstrates."""
    return "critique" if state["revisions"] < runtime.context.config.dialogue.max_revisions else "demonstrate"


def build_dialogue_graph() -> DialogueGraph:
    """The dialogue's state machine, compiled. Run it with a `RunContext` as its context."""
    graph: StateGraph[DialogueState, RunContext, Any, Any] = StateGraph(DialogueState, context_schema=RunContext)
    for node in (draft, compare, critique, revise, demonstrate):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "draft")
    graph.add_conditional_edges("draft", after_draft)
    graph.add_conditional_edges("compare", after_compare)
    graph.add_edge("critique", "revise")
    graph.add_conditional_edges("revise", after_revise)
    graph.add_edge("demonstrate", END)
    return graph.compile(name="dialogue")


class _Talk:
    """What every node looks up first."""

    def __init__(self, state: DialogueState, context: RunContext) -> None:
        self.context = context
        dialogue = context.store.get(Dialogue, state["dialogue_id"])
        assert dialogue is not None
        example = context.store.get(Example, dialogue.example_id)
        assert example is not None
        self.dialogue, self.text = dialogue, example.text

    def turn(self, identity: str | None) -> Turn:
        assert identity is not None
        turn = self.context.store.get(Turn, identity)
        assert turn is not None
        return turn
