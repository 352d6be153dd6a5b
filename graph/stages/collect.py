"""Collecting a round's dialogues, many at once. A dialogue that fails is recorded, and the round goes on."""

from sqlalchemy import select
from sqlmodel import col

from ...core.concurrency import bounded
from ...core.errors import ITEM_ERRORS, EndpointError
from ...core.records import Agent, Example, Split, Stage
from ...store import Dialogue, Turn, failures, told_failures
from ...store.trainable import promoted_versions
from ..context.progress import live_note
from ..context.run_context import RunContext
from ..rollout.dialogue import DialogueGraph, build_dialogue_graph
from ..rollout.overused import overused_before
from ..rollout.recording import finish_dialogue, open_dialogues
from ..rollout.session import DialogueSession
from .periodic import PeriodicTraining


async def collect(context: RunContext, round_number: int) -> None:
    """Hold the round's dialogues, those that begin first with the promoted adapter.

    With `training.train_every` the student is trained meanwhile, and later dialogues are held with what came of it.

    Raises:
        EndpointError: every dialogue of the round failed.
    """
    examples = round_inputs(context, round_number)
    overused = overused_before(context.store, context.run.id, round_number)
    graph = build_dialogue_graph()
    training = PeriodicTraining(context, round_number)
    # All are opened first, so that `status` knows how many are still to come.
    dialogues = await open_dialogues(context, Stage.COLLECT, round_number, examples)
    begun = versions_begun_with(context, round_number)
    for needed in sorted(set(begun.values())):
        await context.pool.load_adapter(context.adapter(needed))
    await context.pool.load_adapter(context.adapter(training.promoted_version))
    for promoted in sorted(promoted_versions(context.store, context.campaign)):
        context.pool.promote(promoted)  # those before an interruption too: staleness counts them
    with context.progress.bar(f"round {round_number}: dialogues", len(dialogues), "dialogues") as bar:

        async def one(dialogue: Dialogue) -> None:
            if dialogue.status != "finished":
                async with training.dialogue(begun.get(dialogue.id)) as held_with:
                    await hold(context, graph, dialogue, held_with, overused, new=dialogue.id not in begun)
            bar.advance()

        try:
            async with live_note(bar, context.news):
                await bounded(one, dialogues, context.config.dialogue.concurrency)
            await training.finish()
        except BaseException:
            await training.abandon()
            raise
    failed = context.store.select(
        Dialogue, run_id=context.run.id, stage=Stage.COLLECT, round=round_number, status="failed"
    )
    if len(failed) == len(dialogues):
        reasons = [one for one in failures(context.store, context.run, round_number) if one["stage"] == Stage.COLLECT]
        first, others = told_failures(reasons)
        told = [f"{one['count']} with {one['error']}" for one in first] + [f"{others} for other reasons"] * bool(others)
        raise EndpointError(f"all {len(failed)} dialogues of round {round_number} failed: {'; '.join(told)}")


def versions_begun_with(context: RunContext, round_number: int) -> dict[str, int]:
    """The adapter version that each interrupted dialogue of the round was begun with, by the dialogue's id."""
    said = (
        select(col(Turn.dialogue_id), col(Turn.adapter_version))
        .join(Dialogue, col(Dialogue.id) == col(Turn.dialogue_id))
        .where(
            col(Dialogue.run_id) == context.run.id,
            col(Dialogue.stage) == Stage.COLLECT,
            col(Dialogue.round) == round_number,
            col(Dialogue.status) != "finished",
            col(Turn.agent) == Agent.STUDENT,
        )
        .order_by(col(Turn.seq).desc())
    )
    # The earliest turn of each comes last, and stays.
    return {dialogue_id: version for dialogue_id, version in context.store.rows(said) if version is not None}


async def hold(
    context: RunContext,
    graph: DialogueGraph,
    dialogue: Dialogue,
    version: int,
    overused: list[str],
    *,
    new: bool = False,
) -> None:
    """Hold one dialogue to its end and record how it ended. In a `new` one the student has said nothing yet."""
    session = DialogueSession.begin(context, dialogue, new=new)
    try:
        state = await graph.ainvoke({"adapter_version": version, "overused": overused}, context=session)
    except ITEM_ERRORS as error:
        await session.writes.settle()
        await finish_dialogue(context.store, dialogue, error=error)
        return
    await session.writes.settle()
    revises = context.config.dialogue.max_revisions and context.critic.writes
    tried = "revisions used up" if revises else "compared"
    await finish_dialogue(
        context.store,
        dialogue,
        stop_reason=state.get("stop_reason", tried if state["best"] is not None else "no valid draft"),
        final=state.get("final", state["best"]),
    )


def round_inputs(context: RunContext, round_number: int) -> list[Example]:
    """The training inputs a round talks about: each round goes on where the last one ended."""
    inputs = context.split(Split.TRAIN)
    count = min(context.config.dialogue.inputs or len(inputs), len(inputs))
    start = (round_number - 1) * count
    return [inputs[(start + i) % len(inputs)] for i in range(count)]
