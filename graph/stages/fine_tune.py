"""Fine-tuning: training data out of the store, a training on record, a committed adapter registered.

A run makes one adapter at a time, so a training that has no decided adapter is the one to go on with after an
interruption. Nothing here loads an adapter into the student: who serves it does.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ...agents.tasks.carried import carried_prompts
from ...core.errors import AlteredAdapterError, OpenmicError
from ...core.ids import derive_id, derive_seed
from ...core.records import AdapterRef, Split, TrainingMetrics
from ...core.training_settings import FineTuneSettings
from ...store import Adapter, Preference, Training, TrainingItem, TrainingMetric
from ...store.schema import now
from ...store.tables.training import TrainingStage
from ...store.trainable import histogram, staleness_of
from ...store.writes import adding_new, updating
from ...training.adapters.adapters import METRICS, adapter_uri, made_adapter, metrics_beside, verify_adapter
from ...training.adapters.storage import remove
from ...training.loop.checkpoints import remove_checkpoint
from ...training.student.fingerprint import KnownFiles
from ...training.trainer.actor import TrainingJob, TrainingProgress
from ..context.objective import learns_from_demonstrations, training_phase
from ..context.run_context import RunContext
from ..training_data.assemble import (
    PhaseData,
    SourcedExample,
    consumed_data,
    demonstration_examples,
    feedback_examples,
    new_data,
)
from .demonstrate import demonstrations
from .taken_over import CONTENT, content_key, take_over


async def imitate(context: RunContext) -> int:
    """Fine-tune on the teacher's demonstrations; returns the version of the new adapter."""
    turns = [turn for _, shown in demonstrations(context, Split.TRAIN) for turn in shown]
    made = await context.store.patiently(context.store.select, Adapter, run_id=context.run.id, stage="imitation")
    if made and made[0].status != "candidate":
        return made[0].version
    begun = _unfinished(context, "imitation", 0)
    if begun is not None:
        turns = list((await asyncio.to_thread(consumed_data, context, begun)).demonstrations)
    data = PhaseData("sft", tuple(await asyncio.to_thread(demonstration_examples, context, turns)))
    return await _carry_out(context, begun, "imitation", 0, "sft", context.config.imitation, [data], parent=0)


async def fine_tune_on_feedback(
    context: RunContext, round_number: int, parent: int, *, source_run: str | None = None
) -> int | None:
    """Fine-tune on what no training of this run has learned from; returns the new version, a candidate.

    None where there is nothing new. `source_run` holds the preferences, by default this run.
    """
    settings = context.config.training
    begun = _unfinished(context, "round", round_number)
    # Off the event loop, as all long work with the store is: dialogues may go on meanwhile.
    if begun is not None:
        data = await asyncio.to_thread(consumed_data, context, begun)
    else:
        data = await asyncio.to_thread(new_data, context, source_run or context.run.id, parent)
    if not (data.preferences or data.drafts or learns_from_demonstrations(context.plugs, settings)):
        return None
    phases = await asyncio.to_thread(feedback_examples, context, settings.objective, data)
    if not phases:
        return None
    return await _carry_out(context, begun, "round", round_number, settings.objective, settings, phases, parent=parent)


def _unfinished(context: RunContext, stage: TrainingStage, round_number: int) -> Training | None:
    """The training of this step whose adapter was not decided upon, if an interruption left one."""
    decided = {row.version for row in context.store.select(Adapter, run_id=context.run.id) if row.status != "candidate"}
    begun = context.store.select(Training, run_id=context.run.id, stage=stage, round=round_number)
    return next((row for row in begun if row.adapter_version not in decided), None)


async def _carry_out(
    context: RunContext,
    begun: Training | None,
    stage: TrainingStage,
    round_number: int,
    objective: str,
    settings: FineTuneSettings,
    phases: Sequence[PhaseData],
    *,
    parent: int,
) -> int:
    """Run one training to its end, or find it done; returns the version it made.

    The training and its items are stored before it starts, so what it consumes is settled whatever happens to it.
    """
    if begun is None:
        new = await asyncio.to_thread(_new_training, context, stage, round_number, objective, settings, phases, parent)
        await context.store.keep(adding_new(new[0], *new[1]))
    training = new[0] if begun is None else begun
    version = training.adapter_version
    if await context.store.patiently(context.store.count, Adapter, run_id=context.run.id, version=version):
        return version
    job = await asyncio.to_thread(training_job, context, training, settings, phases)
    ref = await asyncio.to_thread(_committed_before, context, version, job)
    if ref is None:
        ref = await _train(context, training, settings, phases, job)
    elif training.status != "finished":  # the process ended between the commit and its record
        await _record(context, training, settings, phases, metrics_beside(ref), content_key(job))
        remove_checkpoint(context.adapters_root, version)
    adapter = Adapter(
        id=derive_id(context.run.id, "adapter", version),
        run_id=context.run.id,
        version=version,
        stage=stage,
        round=round_number,
        parent_version=training.parent_version,
        base_model=context.config.student.full_name,
        uri=context.store.recorded(str(ref.uri)),
        sha256=ref.sha256,
        lora=context.config.training.lora.model_dump(),
        training_id=training.id,
    )
    await context.store.keep(adding_new(adapter))
    return version


def _committed_before(context: RunContext, version: int, job: TrainingJob) -> AdapterRef | None:
    """The adapter that this training committed before its process ended, if it did.

    One that is not whole, as after a power loss or on a bad disk, is removed: nobody has used it, and it can be made.
    """
    ref = made_adapter(context.adapters_root, version, context.run.id, job.key)
    if ref is None:
        return None
    try:
        verify_adapter(ref)
    except AlteredAdapterError as error:
        context.progress.print(f"note: adapter v{version} is trained anew: {error}")
        remove(adapter_uri(context.adapters_root, version))
        return None
    return ref


def _new_training(
    context: RunContext,
    stage: TrainingStage,
    round_number: int,
    objective: str,
    settings: FineTuneSettings,
    phases: Sequence[PhaseData],
    parent: int,
) -> tuple[Training, list[TrainingItem]]:
    run_id = context.run.id
    known = context.store.select(Adapter, run_id=run_id) + context.store.select(Training, run_id=run_id)
    version = 1 + max(row.version if isinstance(row, Adapter) else row.adapter_version for row in known)
    preferences = [name for phase in phases for example in phase.examples for name in example.preference_ids]
    rows = context.store.select(Preference, id=preferences)
    stalenesses = staleness_of(context.store, context.campaign, rows, parent)
    training = Training(
        id=derive_id(run_id, "training", version),
        run_id=run_id,
        stage=stage,
        round=round_number,
        objective=objective,
        parent_version=parent,
        adapter_version=version,
        config=settings.model_dump(mode="json"),
        seed=derive_seed(context.config.seed, "training", version),
        examples=sum(len(phase.examples) for phase in phases),
        metrics={
            "staleness": histogram(stalenesses.values()),
            **({"labels": labels} if rows and (labels := context.config.preferences.labels) != "critic" else {}),
        },
    )
    return training, _items(training, phases)


def _items(training: Training, phases: Sequence[PhaseData]) -> list[TrainingItem]:
    sources: list[tuple[str | None, str | None]] = []
    for phase in phases:
        for example in phase.examples:
            sources += [(None, preference) for preference in example.preference_ids] or [(example.turn_id, None)]
    return [
        TrainingItem(
            id=derive_id(training.id, position),
            training_id=training.id,
            run_id=training.run_id,
            position=position,
            turn_id=turn,
            preference_id=preference,
        )
        # A revision may be learned in two examples, and is consumed once.
        for position, (turn, preference) in enumerate(dict.fromkeys(sources))
    ]


def training_job(
    context: RunContext, training: Training, settings: FineTuneSettings, phases: Sequence[PhaseData]
) -> TrainingJob:
    """What the trainer is asked to do, all of it from the store."""
    return TrainingJob(
        student=context.config.student.weights,
        device=context.config.student.device,
        phases=tuple(
            training_phase(context, phase.objective, [each.example for each in phase.examples]) for phase in phases
        ),
        settings=settings,
        lora=context.config.training.lora,
        seed=training.seed,
        parent=context.adapter(training.parent_version),
        adapters=context.adapters_root,
        version=training.adapter_version,
        run=context.run.id,
        chat_template_kwargs=context.config.student.chat_template_kwargs,
        prompts=carried_prompts(context.task, context.config.evaluation.sampling),
        known=KnownFiles(context.run.id, context.run.student_files),
    )


async def carry_out(context: RunContext, training: Training, job: TrainingJob) -> tuple[AdapterRef, TrainingMetrics]:
    """Have the trainer do a job, and show how far it is; the adapter's files are what was committed.

    Raises:
        OpenmicError: it failed, or the adapter cannot be read back as it was written.
    """
    what = training.stage if training.stage == "imitation" else f"round {training.round}"
    began, told = time.monotonic(), 0
    with context.progress.bar(f"{what}: {training.objective}", 1, "steps") as bar:

        def tell(size: int | None) -> None:
            nonlocal told
            if size is not None and size != told:
                told = size
                key = "imitation" if training.stage == "imitation" else "training"
                context.progress.print(
                    f"memory ran out in the training of adapter v{training.adapter_version}: it goes on with "
                    f"{size} examples at a time ({key}.micro_batch_size), which changes nothing but rounding"
                )

        def show(progress: TrainingProgress) -> None:
            tell(progress.micro_batch_size)
            if not progress.steps:
                return
            if progress.phase == "reference":
                bar.note(f"reference {progress.step}/{progress.steps}")
                return
            bar.set(progress.step, progress.steps)
            rate = progress.tokens / max(1e-6, time.monotonic() - began)
            bar.note(f"loss {progress.loss:.3f}, {rate:.0f} tokens/s")

        ref, metrics = await context.trainer.train(job, show)
        await asyncio.to_thread(verify_adapter, ref)  # before anything names it
        tell(metrics.micro_batch_size)
        bar.set(metrics.steps, metrics.steps)
        bar.note(f"loss {metrics.final_loss:.3f}, {metrics.tokens / metrics.seconds:.0f} tokens/s")
    return ref, metrics


async def _train(
    context: RunContext,
    training: Training,
    settings: FineTuneSettings,
    phases: Sequence[PhaseData],
    job: TrainingJob,
) -> AdapterRef:
    content = content_key(job)
    if (taken := await take_over(context, training, content)) is not None:
        return taken
    try:
        ref, metrics = await carry_out(context, training, job)
    except OpenmicError:
        await context.store.keep(updating(Training, training.id, status="failed", finished_at=now()))
        raise
    await _record(context, training, settings, phases, metrics, content)
    return ref


async def _record(
    context: RunContext,
    training: Training,
    settings: FineTuneSettings,
    phases: Sequence[PhaseData],
    metrics: TrainingMetrics | None,
    content: str,
) -> None:
    """Put a training that made its adapter on record. Without metrics it is said that how it went is not known."""
    facts: dict[str, Any] = {}
    if metrics is None:
        context.progress.print(
            f"note: adapter v{training.adapter_version} was made, and how its training went is not known: "
            f"{METRICS} beside it is gone or broken"
        )
    else:
        curve = [
            TrainingMetric(training_id=training.id, step=step, values=row) for step, row in enumerate(metrics.curve, 1)
        ]
        await context.store.keep(adding_new(*curve))
        facts = metrics.as_json() | _left_out(context, training, settings, phases, metrics.left_out)
    ended = {
        "status": "finished",
        "examples": training.examples - len(metrics.left_out if metrics else ()),
        "metrics": {**training.metrics, **facts, CONTENT: content},
        "finished_at": now(),
    }
    await context.store.keep(updating(Training, training.id, **ended))


def _left_out(
    context: RunContext,
    training: Training,
    settings: FineTuneSettings,
    phases: Sequence[PhaseData],
    names: Sequence[str],
) -> dict[str, Any]:
    """Say which examples were too long to be learned from; returns what the training's record says of them."""
    if not names:
        return {}
    left = set(names)
    examples = [each for phase in phases for each in phase.examples]
    learned = _sources(each for each in examples if each.example.id not in left)
    sources = _sources(each for each in examples if each.example.id in left) - learned
    items = context.store.select(TrainingItem, training_id=training.id, order_by="position")
    section = "imitation" if training.stage == "imitation" else "training"
    why = f"too long for {section}.max_length={settings.max_length} or for the student"
    context.progress.print(
        f"adapter v{training.adapter_version} learned from {training.examples - len(names)} of {training.examples} "
        f"examples: {len(names)} left out, {why}"
    )
    left_out = [item.id for item in items if (item.preference_id or item.turn_id) in sources]
    return {"left_out_items": left_out, "left_out_why": why}


def _sources(examples: Iterable[SourcedExample]) -> set[str | None]:
    """Ids of the rows that examples were made of."""
    return {source for each in examples for source in (*each.preference_ids, each.turn_id)}
