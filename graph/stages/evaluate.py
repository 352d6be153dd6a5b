"""Evaluation: the student answers held-out inputs, the judge compares each answer with the teacher's."""

from dataclasses import replace

from ...core.concurrency import bounded
from ...core.errors import ITEM_ERRORS, EndpointError
from ...core.ids import derive_id, derive_seed
from ...core.records import Example, Split, Stage, TurnKind, input_words
from ...evaluation.summary import JudgedOutput, summarize
from ...evaluation.text_metrics import length_ratio
from ...store import Evaluation, EvaluationItem, Turn, failures
from ...store.schema import now
from ...store.writes import adding_new, updating
from ..context.progress import live_note
from ..context.run_context import RunContext
from ..context.scoring import Scoring, open_scoring
from ..report import judged_outputs
from ..rollout.recording import finish_dialogue, open_dialogue, record_verdict, request_id, student_turn
from .demonstrate import demonstrations


async def evaluate(context: RunContext, version: int, split: Split, *, again: bool = False) -> list[JudgedOutput]:
    """Judge one adapter version on the held-out inputs of a split, or find it judged.

    `again` says whether inputs that have no verdict are judged though the evaluation is finished.

    Raises:
        EndpointError: not one output could be judged.
    """
    evaluation_id = derive_id(context.run.id, "evaluation", version, split)
    found = context.store.get(Evaluation, evaluation_id)
    inputs = {example.id for example in context.evaluation_inputs(split)}
    wanted = [(example, turns[0]) for example, turns in demonstrations(context, split) if example.id in inputs]
    if found is not None and found.status == "finished":
        if not again or context.store.count(EvaluationItem, evaluation_id=evaluation_id) >= len(wanted):
            return judged_outputs(context.store, evaluation_id)
        # Its figures are not whole until it ends.
        await context.store.keep(updating(Evaluation, evaluation_id, status="running"))
    new = Evaluation(id=evaluation_id, run_id=context.run.id, adapter_version=version, split=split)
    await context.store.keep(adding_new(new))
    await context.pool.load_adapter(context.adapter(version))
    async with open_scoring(context.config.evaluation, context.plugs) as scoring:
        with context.progress.bar(f"evaluate v{version} ({split})", len(wanted), "inputs") as bar:

            async def one(item: tuple[Example, Turn]) -> None:
                await judge_one(context, evaluation_id, version, scoring, *item)
                bar.advance()

            async with live_note(bar, context.evaluation_news):
                await bounded(one, wanted, context.config.dialogue.concurrency)
    for failure in scoring.failures:
        context.progress.print(f"evaluate v{version} ({split}): {failure}")
    outputs = judged_outputs(context.store, evaluation_id)
    if not outputs:
        told = [one["error"] for one in failures(context.store, context.run, version) if one["stage"] == Stage.EVALUATE]
        why = told[0] if told else f"there are no references for the {split} inputs"
        raise EndpointError(f"no output of adapter version {version} could be judged: {why}")
    summary = summarize(outputs, context.config.evaluation, context.config.seed)
    ended = {"status": "finished", "summary": summary.as_json(), "finished_at": now()}
    await context.store.keep(updating(Evaluation, evaluation_id, **ended))
    return outputs


async def judge_one(
    context: RunContext, evaluation_id: str, version: int, scoring: Scoring, example: Example, reference: Turn
) -> None:
    """One held-out input: an answer, a verdict from both orders, its scores, an item of the evaluation."""
    # The split of an input never changes, so its version alone tells apart an input's evaluation dialogues.
    dialogue = await open_dialogue(context, Stage.EVALUATE, version, example)
    if dialogue.status == "finished":
        return
    request = context.student.draft(request_id(dialogue, 0), example.value, context.config.evaluation.sampling, version)
    # Common random numbers: versions differ by what they have learned, and not by the luck of the draw.
    request = replace(request, seed=derive_seed(context.config.seed, Stage.EVALUATE, example.id))
    try:
        output = await student_turn(
            context,
            dialogue,
            0,
            TurnKind.DRAFT,
            request,
            context.student.template("draft"),
            source=example.value,
        )
        comparison = await context.judge.compare(example.value, output.content, reference.content)
    except ITEM_ERRORS as error:
        await finish_dialogue(context.store, dialogue, error=error)
        return
    verdict, _ = await record_verdict(context.store, dialogue, 1, comparison, output, reference)
    item = EvaluationItem(
        evaluation_id=evaluation_id,
        example_id=example.id,
        output_turn_id=output.id,
        reference_turn_id=reference.id,
        verdict_id=verdict.id,
        outcome=verdict.outcome,
        scores=await scoring.score(example.value, output.content),
        length_ratio=length_ratio(output.content, input_words(example.value)),
    )
    await context.store.keep(adding_new(item))
    await finish_dialogue(context.store, dialogue, stop_reason="judged", final=output.id)
