"""The campaign: a whole run, as a LangGraph state machine with checkpoints in a database of its own.

    demonstrate -> imitate -> (collect -> fine_tune -> evaluate -> promote | roll_back)* -> report

Each node does its part once: what an interrupted node had finished is in the store, and is found there.
"""

from typing import Any, Literal, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..core.ids import derive_id
from ..core.records import Split
from ..store import Adapter
from .context.run_context import RunContext
from .stages.collect import collect as hold_dialogues
from .stages.demonstrate import demonstrate_all
from .stages.evaluate import evaluate as evaluate_version
from .stages.fine_tune import imitate as fine_tune_on_demonstrations
from .stages.gate import GateDecision
from .stages.promotion import judge_candidate, record_decision, train_candidate


class CampaignState(TypedDict, total=False):
    """Where a run stands."""

    round: int
    """The round that is under way, from 1; 0 before the first."""
    promoted_version: int
    """The adapter version that is promoted."""
    candidate: int | None
    """The version that waits for its evaluation; None where a round left nothing to train on."""
    promoted: bool
    """What the gate decided about the candidate."""
    reason: str
    """Why."""


CampaignGraph = CompiledStateGraph[CampaignState, RunContext, CampaignState, CampaignState]


async def demonstrate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The teacher demonstrates every input that imitation or evaluation needs."""
    context = runtime.context
    context.store.add_new(
        Adapter(
            id=derive_id(context.run.id, "adapter", 0),
            run_id=context.run.id,
            version=0,
            stage="base",
            round=0,
            base_model=context.config.student.model,
            status="promoted",
            reason="the student as it came",
        )
    )
    await demonstrate_all(context)
    return {"round": 0, "promoted_version": 0}


async def imitate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The student is fine-tuned on the demonstrations; feedback starts from what comes of it."""
    context = runtime.context
    version = await fine_tune_on_demonstrations(context)
    await context.pool.load_adapter(context.adapter(version))
    record_decision(context, version, GateDecision(True, "where feedback starts from"))
    return {"promoted_version": version}


async def collect(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """A round of critique-and-revise dialogues with the promoted adapter."""
    round_number = state["round"] + 1
    promoted_version = await hold_dialogues(runtime.context, round_number, state["promoted_version"])
    return {"round": round_number, "promoted_version": promoted_version}


async def fine_tune(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The promoted adapter is trained on the preferences that no training has learned from yet."""
    return {"candidate": await train_candidate(runtime.context, state["round"], state["promoted_version"])}


async def evaluate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """Candidate and promoted version are compared on dev inputs; test inputs play no part in any choice."""
    assert state["candidate"] is not None
    decision = await judge_candidate(runtime.context, state["promoted_version"], state["candidate"])
    return {"promoted": decision.promoted, "reason": decision.reason}


async def promote(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The candidate becomes the promoted adapter."""
    assert state["candidate"] is not None
    record_decision(runtime.context, state["candidate"], GateDecision(True, state["reason"]))
    return {"promoted_version": state["candidate"]}


async def roll_back(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The candidate is set aside and the adapter before it goes on promoted_version."""
    assert state["candidate"] is not None
    record_decision(runtime.context, state["candidate"], GateDecision(False, state["reason"]))
    return {}


async def report(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """Every version is judged on the test inputs, which nothing has looked at before."""
    for adapter in runtime.context.store.select(Adapter, run_id=runtime.context.run.id, order_by="version"):
        await evaluate_version(runtime.context, adapter.version, Split.TEST)
    return {}


def after_fine_tune(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["evaluate", "collect", "report"]:
    """A candidate is judged; a round that left nothing to train on is over."""
    return "evaluate" if state["candidate"] is not None else another_round(state, runtime)


def after_evaluate(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["promote", "roll_back"]:
    """As the gate decided."""
    return "promote" if state["promoted"] else "roll_back"


def another_round(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["collect", "report"]:
    """Rounds as configured, then the report."""
    return "collect" if state["round"] < runtime.context.config.rounds else "report"


def build_campaign_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> CampaignGraph:
    """The campaign's state machine, compiled. Run it with a `RunContext` as its context."""
    graph: StateGraph[CampaignState, RunContext, Any, Any] = StateGraph(CampaignState, context_schema=RunContext)
    for node in (demonstrate, imitate, collect, fine_tune, evaluate, promote, roll_back, report):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "demonstrate")
    graph.add_edge("demonstrate", "imitate")
    graph.add_conditional_edges("imitate", another_round)
    graph.add_edge("collect", "fine_tune")
    graph.add_conditional_edges("fine_tune", after_fine_tune)
    graph.add_conditional_edges("evaluate", after_evaluate)
    graph.add_conditional_edges("promote", another_round)
    graph.add_conditional_edges("roll_back", another_round)
    graph.add_edge("report", END)
    return graph.compile(checkpointer=checkpointer, name="campaign")
