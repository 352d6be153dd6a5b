"""The campaign: the whole loop of feedback-driven distillation, as a LangGraph state machine.

    demonstrate -> imitate -> (collect -> fine_tune -> evaluate -> promote | roll_back)* -> report

The store is the one record of where a run stands. A run that is taken up begins at the first node again; each finds
what it did in the store, and does what is not there yet.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..core.records import Split
from ..store import Adapter
from .context.run_context import RunContext
from .model_card import write_cards
from .stages import collect as collecting
from .stages import demonstrate as demonstrating
from .stages import evaluate as evaluating
from .stages import fine_tune as fine_tuning
from .stages import promotion
from .stages.course import Course, steps_of
from .stages.lengths import settle_lengths
from .workers.workers import DialogueWorkers


class CampaignState(TypedDict, total=False):
    """Where a run stands within a round. Everything that outlives the process is in the store."""

    round: int
    """The round that is under way, from 1; 0 before the first."""
    candidate: int | None
    """The version that waits for its evaluation; None where a round left nothing to train on."""
    decision: promotion.Decision
    """What the promotion gate decided about the candidate."""


CampaignGraph = CompiledStateGraph[CampaignState, RunContext, CampaignState, CampaignState]


async def demonstrate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The teacher demonstrates every input that imitation or evaluation needs."""
    _begin(runtime.context, "demonstrate")
    promotion.record_base(runtime.context)
    if not promotion.imitation_is_over(runtime.context):
        await _unless_there_is_no_student(runtime.context, demonstrating.demonstrate_all(runtime.context))
    await settle_lengths(runtime.context)
    _begin_workers(runtime.context)
    return {"round": 0}


async def imitate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The student is fine-tuned on the demonstrations; feedback starts from what comes of it."""
    _begin(runtime.context, "imitate")
    await runtime.context.pool.ready()  # nothing is trained for students that cannot be started
    version = await fine_tuning.imitate(runtime.context)
    await runtime.context.pool.load_adapter(runtime.context.adapter(version))
    await promotion.record_decision(runtime.context, version, promotion.Decision(True, "where feedback starts from"))
    return {}


async def collect(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """A round of critique-and-revise dialogues, begun with the promoted adapter."""
    _begin(runtime.context, "collect")
    round_number = state["round"] + 1
    if not promotion.round_is_over(runtime.context, round_number):
        await collecting.collect(runtime.context, round_number)
    return {"round": round_number}


async def fine_tune(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The promoted adapter is trained on the preferences that no training has learned from yet."""
    _begin(runtime.context, "fine-tune")
    return {"candidate": await promotion.train_candidate(runtime.context, state["round"])}


async def evaluate(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """Candidate and promoted version are compared on dev inputs; test inputs play no part in any choice."""
    _begin(runtime.context, "evaluate (dev)")
    assert state["candidate"] is not None
    return {"decision": await promotion.judge_candidate(runtime.context, state["candidate"])}


async def promote(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The candidate becomes the promoted adapter."""
    assert state["candidate"] is not None
    await promotion.record_decision(runtime.context, state["candidate"], state["decision"])
    return {}


async def roll_back(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """The candidate is set aside, and the adapter before it stands."""
    assert state["candidate"] is not None
    await promotion.record_decision(runtime.context, state["candidate"], state["decision"])
    return {}


async def report(state: CampaignState, runtime: Runtime[RunContext]) -> CampaignState:
    """Every version is judged on the test inputs, which nothing has looked at before, unless that is left for later."""
    _begin(runtime.context, "evaluate (test)")
    rows = await runtime.context.store.patiently(
        runtime.context.store.select, Adapter, run_id=runtime.context.run.id, order_by="version"
    )
    for adapter in rows if runtime.context.config.evaluation.at_end else []:
        await evaluating.evaluate(runtime.context, adapter.version, Split.TEST)
    context = runtime.context
    await asyncio.to_thread(write_cards, context.store, context.run, context.config, context.progress.print)
    return {}


def after_fine_tune(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["evaluate", "collect", "report"]:
    """A candidate is judged; a round that left nothing to train on is over."""
    return "evaluate" if state["candidate"] is not None else another_round(state, runtime)


def after_evaluate(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["promote", "roll_back"]:
    """As the gate decided."""
    return "promote" if state["decision"].promoted else "roll_back"


def another_round(state: CampaignState, runtime: Runtime[RunContext]) -> Literal["collect", "report"]:
    """Rounds as configured, then the report."""
    return "collect" if state["round"] < runtime.context.config.rounds else "report"


def _begin(context: RunContext, stage: str) -> None:
    if isinstance(context.progress, Course):
        context.progress.begin(stage)


async def _unless_there_is_no_student(context: RunContext, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; raise what is wrong with the students as soon as it is known."""
    working, starting = asyncio.ensure_future(work), asyncio.ensure_future(context.pool.ready())
    try:
        await asyncio.wait({working, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        await working
    finally:
        for task in (working, starting):
            task.cancel()
        await asyncio.gather(working, starting, return_exceptions=True)


def build_campaign_graph() -> CampaignGraph:
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
    return graph.compile(name="campaign")


def _begin_workers(context: RunContext) -> None:
    if context.config.dialogue.workers > 1 and context.holder is None:
        context.holder = DialogueWorkers(context)


async def run_campaign(context: RunContext) -> None:
    """Carry a campaign out, or on, to its end.

    Raises:
        OpenmicError: a stage could do nothing at all; the run can be resumed once the cause is mended.
    """
    if foreseen := context.run.cost.get("foreseen_stages"):
        context.progress = Course(context.progress, steps_of(foreseen, context.config.rounds))
    context.pool, context.trainer  # noqa: B018 - both load their weights while the teacher demonstrates
    if not context.config.open_lengths:  # they read the configuration once, when they start
        _begin_workers(context)
    if not context.critic.writes and context.config.dialogue.max_revisions:
        context.progress.print("note: the critic writes no critiques, so dialogues have no revisions")
    if context.config.training.train_every is not None:
        context.progress.print(str(context.train_gate))
    # Demonstrate, imitate and report, at most five steps a round, and some to spare.
    limit = RunnableConfig(recursion_limit=20 + 10 * context.config.rounds)
    await build_campaign_graph().ainvoke(CampaignState(), limit, context=context)
