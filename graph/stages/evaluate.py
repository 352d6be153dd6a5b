"""Evaluation: the student answers held-out inputs, the judge compares each answer with the teacher's."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...core.concurrency import bounded
from ...core.errors import ITEM_ERRORS, EndpointError, ReplyError
from ...core.ids import derive_id, derive_seed
from ...core.records import Example, JudgedOutput, Split, Stage, TurnKind, input_words
from ...evaluation.summary import summarize
from ...evaluation.text_metrics import length_ratio
from ...store import Dialogue, Evaluation, EvaluationItem, Turn, failures
from ...store.schema import now
from ...store.search.judged import judged_outputs
from ...store.writes import adding_new, updating
from ..context.progress import live_note
from ..context.run_context import RunContext
from ..context.scoring import Scoring, open_scoring
from ..rollout.recording import (
    asked_from,
    finish_dialogue,
    open_dialogue,
    record_demonstrations,
    record_verdict,
    request_id,
    student_turn,
)
from ..rollout.selection import valid_drafts
from ..rollout.tournament import Match, best_of
from .demonstrate import demonstrations
from .lengths import settle_lengths

BESIDE_ITS_REFERENCE = 500
"""The ordinal of a teacher's text that is judged against its own reference; none of the campaign's."""


async def evaluate(context: RunContext, version: int, split: Split, *, again: bool = False) -> list[JudgedOutput]:
    """Judge one adapter version on the held-out inputs of a split, or find it judged.

    `again` says whether inputs that have no verdict are judged though the evaluation is finished.

    Raises:
        EndpointError: not one output could be judged.
    """
    await settle_lengths(context)
    evaluation_id = derive_id(context.run.id, "evaluation", version, split)
    found = await context.store.patiently(context.store.get, Evaluation, evaluation_id)
    inputs = {example.id for example in context.evaluation_inputs(split)}
    wanted = [(example, turns[0]) for example, turns in demonstrations(context, split) if example.id in inputs]
    if found is not None and found.status == "finished":
        judged = await context.store.patiently(context.store.count, EvaluationItem, evaluation_id=evaluation_id)
        if not again or judged >= len(wanted):
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

            concurrency = context.config.dialogue.concurrency
            in_batches = context.llm.batching.open(f"evaluate v{version} ({split})")
            async with live_note(bar, context.evaluation_news), in_batches:
                if context.llm.batching:  # so that what is compared is there when comparisons go into batches
                    await bounded(partial(_write, context, version), wanted, concurrency)
                await bounded(one, wanted, context.at_once(len(wanted), concurrency))
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
    judged_by_critic = context.config.evaluation.critic
    try:
        output, seq = await _output(context, dialogue, version, example)
        texts = example.value, output.content, reference.content
        with asked_from(dialogue, seq):
            comparison = await context.judge.compare(*texts)
        with asked_from(dialogue, seq + len(comparison.ballots)):
            beside = await context.critic.compare(*texts) if judged_by_critic else None
    except ITEM_ERRORS as error:
        await finish_dialogue(context.store, dialogue, error=error)
        return
    verdict, seq = await record_verdict(context.store, dialogue, seq, comparison, output, reference)
    critics = None
    if beside is not None:
        critics, _ = await record_verdict(context.store, dialogue, seq, beside, output, reference)
    item = EvaluationItem(
        evaluation_id=evaluation_id,
        example_id=example.id,
        output_turn_id=output.id,
        reference_turn_id=reference.id,
        verdict_id=verdict.id,
        critic_verdict_id=None if critics is None else critics.id,
        outcome=verdict.outcome,
        scores=await scoring.score(example.value, output.content),
        length_ratio=length_ratio(output.content, input_words(example.value)),
    )
    await context.store.keep(adding_new(item))
    await finish_dialogue(context.store, dialogue, stop_reason="judged", final=output.id)


async def _write(context: RunContext, version: int, item: tuple[Example, Turn]) -> None:
    """One held-out input's outputs of the student, before anything is compared; what fails, fails when it is judged."""
    if context.config.evaluation.speaker == "teacher":
        return
    dialogue = await open_dialogue(context, Stage.EVALUATE, version, item[0])
    if dialogue.status != "finished":
        with suppress(*ITEM_ERRORS):
            await _drafts(context, dialogue, version, item[0])


async def _drafts(context: RunContext, dialogue: Dialogue, version: int, example: Example) -> list[Turn]:
    places = range(context.config.evaluation.best_of)
    return await asyncio.gather(*(_draft(context, dialogue, version, example, place) for place in places))


async def _output(context: RunContext, dialogue: Dialogue, version: int, example: Example) -> tuple[Turn, int]:
    """What is to be judged, and the first place after it.

    It is the teacher's text, or the student's, of several the one that the critic finds best.

    Raises:
        ReplyError: the teacher wrote no answer.
    """
    settings = context.config.evaluation
    if settings.speaker == "teacher":
        with asked_from(dialogue, 0):
            shown = await context.references.demonstrate(example.value, 1, ordinal=BESIDE_ITS_REFERENCE)
        turns, seq = await record_demonstrations(context.store, dialogue, 0, shown)
        if not turns:
            raise ReplyError(f"the teacher wrote no answer ({shown.reason})")
        return turns[0], seq
    drafts = await _drafts(context, dialogue, version, example)
    contenders, seq = valid_drafts(drafts), settings.best_of
    known = {draft.id: draft for draft in drafts}

    async def play(matches: Sequence[Match[str]]) -> list[bool]:
        nonlocal seq
        won = []
        for first, second in ((known[one], known[other]) for one, other in matches):
            with asked_from(dialogue, seq):
                found = await context.critic.compare(example.value, first.content, second.content)
            _, seq = await record_verdict(context.store, dialogue, seq, found, first, second)
            won.append(found.p_first >= 0.5)
        return won

    best = await best_of([draft.id for draft in contenders], play) if contenders else drafts[0].id
    return known[best], seq


async def _draft(context: RunContext, dialogue: Dialogue, version: int, example: Example, place: int) -> Turn:
    """One output of the student's.

    Random numbers are common to all versions, which so differ by what they have learned, and not by the luck of the
    draw; the first of several outputs is the one there would be alone.
    """
    sampling, seeds = context.config.evaluation.sampling, (Stage.EVALUATE, example.id)
    request = context.student.draft(request_id(dialogue, place), example.value, sampling, version)
    request = replace(request, seed=derive_seed(context.config.seed, *seeds, *([place] if place else [])))
    template = context.student.template("draft")
    return await student_turn(context, dialogue, place, TurnKind.DRAFT, request, template, source=example.value)
