"""Holding failed items again that no training has passed over: held-out references and evaluations.

A dialogue or demonstration that a student was trained without stays as it is: an adapter is what it was made of.
"""

from collections.abc import Sequence

from ...core.concurrency import bounded
from ...core.records import Example, Split, Stage
from ...store import Dialogue, Evaluation, Run, RunExample
from ...store.reading import Reader
from ..context.progress import live_note
from ..context.run_context import RunContext
from .demonstrate import demonstrate_one
from .evaluate import evaluate
from .promotion import imitation_is_over, round_is_over


async def retry_failed(context: RunContext) -> None:
    """Hold again what failed and may still be mended, make the summaries anew, and say what stays and why.

    Raises:
        EndpointError: not one output of an adapter could be judged.
    """
    over = imitation_is_over(context)
    before = failed_by_fate(context.store, context.run, over=over)
    if over:
        await _demonstrate_again(context, before[0])
    for row in await context.store.patiently(
        context.store.select, Evaluation, run_id=context.run.id, status="finished", order_by="adapter_version"
    ):
        await evaluate(context, row.adapter_version, row.split, again=True)
    again, left = failed_by_fate(context.store, context.run, over=over)
    for line in _told(before[0], again, [each for each in left if _is_left(context, each)]):
        context.progress.print(line)


def failed_by_fate(store: Reader, run: Run, *, over: bool = True) -> tuple[list[Dialogue], list[Dialogue]]:
    """The failed items that can be held again, and those that a training may have passed over.

    Args:
        store: Where they are.
        run: Whose they are.
        over: Whether the student was trained on demonstrations; until then all of these can be made up for.
    """
    inputs = store.select(RunExample, run_id=store.campaign_of(run).id)
    trained_on = {row.example_id for row in inputs if row.split is Split.TRAIN}
    failed = store.select(Dialogue, run_id=run.id, status="failed")
    left = [
        each
        for each in failed
        if each.stage is Stage.COLLECT or (over and each.stage is Stage.DEMONSTRATE and each.example_id in trained_on)
    ]
    return [each for each in failed if each not in left], left


async def _demonstrate_again(context: RunContext, failed: Sequence[Dialogue]) -> None:
    wanted = [context.example(each.example_id) for each in failed if each.stage is Stage.DEMONSTRATE]
    if not wanted:
        return
    with context.progress.bar("references again", len(wanted), "inputs") as bar:

        async def one(example: Example) -> None:
            await demonstrate_one(context, example, 1)
            bar.advance()

        at_once = context.at_once(len(wanted), context.config.cast.teacher.max_concurrency)
        async with live_note(bar, context.trouble), context.llm.batching.open("demonstrate"):
            await bounded(one, wanted, at_once)


def _is_left(context: RunContext, dialogue: Dialogue) -> bool:
    """Whether no round that is still to end holds it again."""
    ended = context.run.status == "finished"
    return ended or dialogue.stage is not Stage.COLLECT or round_is_over(context, dialogue.round)


def _told(before: Sequence[Dialogue], again: Sequence[Dialogue], left: Sequence[Dialogue]) -> list[str]:
    lines = [f"{len(before)} failed items were held again; {len(again)} items are failed now"] if before else []
    if left:
        dialogues = sum(each.stage is Stage.COLLECT for each in left)
        lines.append(
            f"{len(left)} failed items stay as they are, since the student was trained without them: "
            f"{dialogues} dialogues, {len(left) - dialogues} demonstrations"
        )
    return lines or ["nothing has failed: there is nothing to hold again"]
