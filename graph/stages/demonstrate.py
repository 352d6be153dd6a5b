"""The teacher demonstrates: several outputs for each training input, one reference for each held-out input."""

from collections.abc import Sequence

from ...core.concurrency import bounded
from ...core.errors import ITEM_ERRORS, EndpointError, ReplyError
from ...core.records import Example, Split, Stage, TurnKind
from ...store import Dialogue, Turn
from ..context.progress import live_note
from ..context.run_context import RunContext
from ..rollout.recording import asked_from, finish_dialogue, open_dialogue, record_demonstrations, record_verdict
from ..rollout.selection import most_different_pair
from ..training_data.assemble import wants_teacher_pairs


async def demonstrate_all(context: RunContext) -> None:
    """Have every input demonstrated that imitation or evaluation needs.

    Raises:
        EndpointError: not one demonstration could be had.
    """
    settings = context.config.imitation
    wanted = [(example, settings.demonstrations) for example in context.split(Split.TRAIN)[: settings.inputs]]
    wanted += [(example, 1) for split in (Split.DEV, Split.TEST) for example in context.evaluation_inputs(split)]
    with context.progress.bar("teacher demonstrates", len(wanted), "inputs") as bar:

        async def one(item: tuple[Example, int]) -> None:
            await demonstrate_one(context, *item)
            bar.advance()

        at_once = context.at_once(len(wanted), context.config.cast.teacher.max_concurrency)
        async with live_note(bar, context.trouble), context.llm.batching.open("demonstrate"):
            await bounded(one, wanted, at_once)
    if not demonstrations(context, Split.TRAIN):
        failed = await context.store.patiently(
            context.store.select, Dialogue, run_id=context.run.id, stage=Stage.DEMONSTRATE, status="failed", limit=1
        )
        reason = failed[0].error if failed else "it wrote none"
        raise EndpointError(f"the teacher gave no demonstration for any training input: {reason}")


async def demonstrate_one(context: RunContext, example: Example, count: int) -> None:
    """One input's demonstrations, each a turn. A reply without any that is an answer fails this input alone."""
    dialogue = await open_dialogue(context, Stage.DEMONSTRATE, 0, example)
    if dialogue.status == "finished":
        return
    try:
        teacher = context.teacher if example.split is Split.TRAIN else context.references
        with asked_from(dialogue, 0):
            shown = await teacher.demonstrate(example.value, count)
        turns, next_seq = await record_demonstrations(context.store, dialogue, 0, shown)
        if not turns:
            raise ReplyError(f"the teacher wrote no answer ({shown.reason})")
        if example.split is Split.TRAIN and wants_teacher_pairs(context.config):
            await compare_demonstrations(context, dialogue, example, turns, next_seq)
    except ITEM_ERRORS as error:
        await finish_dialogue(context.store, dialogue, error=error)
        return
    await finish_dialogue(context.store, dialogue, stop_reason="demonstrated", final=turns[0].id)


async def compare_demonstrations(
    context: RunContext, dialogue: Dialogue, example: Example, turns: Sequence[Turn], seq: int
) -> None:
    """Have the critic compare the two most different demonstrations: which of the teacher's own outputs is better."""
    pair = most_different_pair(turns, context.config.preferences.length_ratio)
    if pair is None:
        return
    with asked_from(dialogue, seq):
        comparison = await context.critic.compare(example.value, pair[0].content, pair[1].content)
    await record_verdict(context.store, dialogue, seq, comparison, *pair, source="teacher_pair")


def demonstrations(context: RunContext, split: Split) -> list[tuple[Example, list[Turn]]]:
    """The inputs of a split that were demonstrated, with the teacher's turns for each."""
    dialogues = context.store.select(Dialogue, run_id=context.campaign, stage=Stage.DEMONSTRATE, status="finished")
    turns: dict[str, list[Turn]] = {dialogue.id: [] for dialogue in dialogues}
    shown = context.store.select(Turn, dialogue_id=list(turns), kind=TurnKind.DEMONSTRATION, note=None, order_by="seq")
    for turn in shown:
        turns[turn.dialogue_id].append(turn)
    by_example = {dialogue.example_id: turns[dialogue.id] for dialogue in dialogues}
    return [(example, by_example[example.id]) for example in context.split(split) if example.id in by_example]
