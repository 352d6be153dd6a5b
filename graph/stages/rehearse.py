"""The rehearsal: the round's dialogues, held at once under a bound. A dialogue that fails is recorded, and goes on."""

from ...agents.heard import endings_heard_too_often
from ...core.errors import EndpointError, GenerationError, ReplyError
from ...core.records import Example, Split, Stage, TurnKind
from ...store import Dialogue, Turn
from ..concurrency import bounded
from ..dialogue import DialogueGraph, build_dialogue_graph
from ..recording import open_dialogue
from ..runtime import RunContext
from ..settle import settle


async def rehearse(context: RunContext, round_number: int, version: int) -> None:
    """Hold the round's dialogues with one adapter version.

    Raises:
        EndpointError: every dialogue of the round failed.
    """
    examples = round_inputs(context, round_number)
    heard = heard_before(context, round_number)
    graph = build_dialogue_graph()
    await context.pool.load_adapter(context.adapter(version))
    # All are opened first, so that `status` knows how many are still to come.
    dialogues = [open_dialogue(context, Stage.REHEARSE, round_number, example) for example in examples]
    context.token_rate.restart()
    with context.progress.bar(f"round {round_number}: dialogues", len(dialogues), "dialogues") as bar:

        async def one(dialogue: Dialogue) -> None:
            if dialogue.status != "finished":
                await hold(context, graph, dialogue, version, heard)
            bar.advance()
            bar.note(str(context.token_rate))

        await bounded(one, dialogues, context.config.dialogue.concurrency)
    failed = context.store.select(
        Dialogue, run_id=context.run.id, stage=Stage.REHEARSE, round=round_number, status="failed"
    )
    if len(failed) == len(dialogues):
        raise EndpointError(
            f"all {len(failed)} dialogues of round {round_number} failed, the first with {failed[0].error}"
        )


async def hold(context: RunContext, graph: DialogueGraph, dialogue: Dialogue, version: int, heard: list[str]) -> None:
    """Hold one dialogue to its end and record how it ended."""
    try:
        state = await graph.ainvoke(
            {"dialogue_id": dialogue.id, "adapter_version": version, "heard": heard}, context=context
        )
    except (EndpointError, ReplyError, GenerationError) as error:
        settle(context, dialogue, error=error)
        return
    settle(context, dialogue, stop_reason=state["stop_reason"], final=state["final"])


def round_inputs(context: RunContext, round_number: int) -> list[Example]:
    """The training inputs a round talks about: each round goes on where the last one ended."""
    inputs = context.split(Split.TRAIN)
    count = min(context.config.dialogue.inputs or len(inputs), len(inputs))
    start = (round_number - 1) * count
    return [inputs[(start + i) % len(inputs)] for i in range(count)]


def heard_before(context: RunContext, round_number: int) -> list[str]:
    """Endings heard too often before the round began: settled then, so that resuming asks the same questions."""
    if round_number == 1:
        stage, earlier, kind = Stage.DEMONSTRATE, 0, TurnKind.DEMONSTRATION
    else:
        stage, earlier, kind = Stage.REHEARSE, round_number - 1, TurnKind.DRAFT
    dialogues = context.store.select(Dialogue, run_id=context.run.id, stage=stage, round=earlier)
    train = {example.id for example in context.split(Split.TRAIN)}
    ids = [dialogue.id for dialogue in dialogues if dialogue.example_id in train]
    return endings_heard_too_often(turn.content for turn in context.store.select(Turn, dialogue_id=ids, kind=kind))
