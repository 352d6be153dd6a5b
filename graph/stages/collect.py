"""Collecting a round's dialogues, many at once. A dialogue that fails is recorded, and the round goes on."""

from sqlalchemy import select
from sqlmodel import col

from ...core.concurrency import bounded
from ...core.errors import EndpointError
from ...core.records import Agent, Example, Split, Stage
from ...store import Dialogue, Turn, failures, told_failures
from ...store.trainable import promoted_versions
from ..context.progress import live_note
from ..context.run_context import RunContext
from ..rollout.holding import hold
from ..rollout.overused import overused_before
from ..rollout.recording import open_dialogues
from .periodic import PeriodicTraining


async def collect(context: RunContext, round_number: int) -> None:
    """Hold the round's dialogues, those that begin first with the promoted adapter.

    With `training.train_every` the student is trained meanwhile, and later dialogues are held with what came of it.

    Raises:
        EndpointError: every dialogue of the round failed.
    """
    examples = round_inputs(context, round_number)
    overused = overused_before(context.store, context.run.id, round_number)
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
                    await _hold(context, dialogue, held_with, overused, new=dialogue.id not in begun)
            bar.advance()

        try:
            async with live_note(bar, context.news):
                await bounded(one, dialogues, context.config.dialogue.concurrency)
            await training.finish()
        except BaseException:
            await training.abandon()
            raise
    failed = await context.store.patiently(
        context.store.select, Dialogue, run_id=context.run.id, stage=Stage.COLLECT, round=round_number, status="failed"
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


async def _hold(context: RunContext, dialogue: Dialogue, version: int, overused: list[str], *, new: bool) -> None:
    """Hold a dialogue here, or have one of several workers hold it."""
    if context.holder is None:
        await hold(context, dialogue, version, overused, new=new)
    else:
        await context.holder.hold(dialogue, version, overused, new=new)


def round_inputs(context: RunContext, round_number: int) -> list[Example]:
    """The training inputs a round talks about: each round goes on where the last one ended."""
    inputs = context.split(Split.TRAIN)
    count = min(context.config.dialogue.inputs or len(inputs), len(inputs))
    start = (round_number - 1) * count
    return [inputs[(start + i) % len(inputs)] for i in range(count)]
