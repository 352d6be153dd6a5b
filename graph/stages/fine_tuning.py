"""Fine-tuning: examples out of the store, a training on record, a committed adapter registered and loaded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.config import FineTuneSettings
from ...core.errors import TrainingError
from ...core.ids import derive_id, derive_seed
from ...core.records import AdapterRef, Split, TrainingExample
from ...store import Adapter, Example, Preference, Training, TrainingItem, TrainingMetric, Turn
from ...store.lineage import TrainingStage
from ...store.schema import now
from ...training.adapters import committed_adapter
from ...training.objectives import OBJECTIVES
from ...training.trainer_actor import TrainingJob, TrainingProgress
from ..runtime import RunContext
from .demonstrate import demonstrations


@dataclass(frozen=True, slots=True)
class Lesson:
    """A training example and the row it comes from."""

    example: TrainingExample
    turn_id: str | None = None
    preference_id: str | None = None


async def imitate(context: RunContext) -> int:
    """Fine-tune on the teacher's demonstrations; returns the new version, which is in use from then on."""
    lessons = [
        Lesson(TrainingExample(turn.id, context.student.prompt(example.text), turn.content), turn_id=turn.id)
        for example, turns in demonstrations(context, Split.TRAIN)
        for turn in turns
    ]
    return await train(context, "imitation", 0, "sft", context.config.imitation, lessons, parent=0)


async def fine_tune_on_feedback(context: RunContext, round_number: int, parent: int) -> int:
    """Fine-tune on the preferences that no training consumed yet; returns the new version, a candidate."""
    settings = context.config.training
    version = version_of("round", round_number)
    started = context.store.select(Training, run_id=context.run.id, adapter_version=version)
    preferences = consumed_by(context, started[0].id) if started else unused_preferences(context)
    pairwise = OBJECTIVES[settings.objective].pairwise
    lessons = preference_lessons(context, preferences, pairwise=pairwise)
    return await train(context, "round", round_number, settings.objective, settings, lessons, parent=parent)


async def train(
    context: RunContext,
    stage: TrainingStage,
    round_number: int,
    objective: str,
    settings: FineTuneSettings,
    lessons: Sequence[Lesson],
    *,
    parent: int,
) -> int:
    """Run one training to its end, or find it done; returns the version it made.

    The training and its items are stored before it starts, so what it consumes is settled whatever happens to it.
    """
    version = version_of(stage, round_number)
    if context.store.count(Adapter, run_id=context.run.id, version=version):
        await context.pool.load_adapter(context.adapter(version), make_current=False)
        return version
    if not lessons:
        raise TrainingError(
            f"nothing to train on in {stage} {round_number}: no lessons were learned; hold more dialogues "
            "(dialogue.inputs), sample more candidates or widen dialogue.length_ratio"
        )
    training = _begin(context, stage, round_number, objective, settings, lessons, parent, version)
    ref = committed_adapter(context.adapters_folder, version)
    if ref is None:
        ref = await _train(context, training, objective, settings, lessons, parent, version)
    elif training.status != "finished":  # the process ended between the commit and its record
        context.store.update(Training, training.id, status="finished", finished_at=now())
    context.store.add(
        Adapter(
            id=derive_id(context.run.id, "adapter", version),
            run_id=context.run.id,
            version=version,
            stage=stage,
            round=round_number,
            parent_version=parent,
            base_model=context.config.student.model,
            uri=ref.uri,
            sha256=ref.sha256,
            lora=context.config.training.lora.model_dump(),
            training_id=training.id,
        )
    )
    await context.pool.load_adapter(ref, make_current=False)
    return version


def version_of(stage: TrainingStage, round_number: int) -> int:
    """The version a step makes: 1 for imitation, one more for each round."""
    return 1 if stage == "imitation" else 1 + round_number


def unused_preferences(context: RunContext) -> list[Preference]:
    """Preferences within the length filter that no training of this run consumed, oldest first."""
    used = {
        item.preference_id
        for item in context.store.select(TrainingItem, run_id=context.run.id)
        if item.preference_id is not None
    }
    low, high = context.config.dialogue.length_ratio
    return [
        preference
        for preference in context.store.select(Preference, run_id=context.run.id, order_by="created_at")
        if preference.id not in used
        and (preference.source == "teacher" or low <= preference.length_ratio <= high)
        and (preference.source != "revision" or context.config.dialogue.prefer_revisions)
    ]


def consumed_by(context: RunContext, training_id: str) -> list[Preference]:
    """The preferences of a training that was begun earlier, in its order."""
    items = context.store.select(TrainingItem, training_id=training_id, order_by="position")
    rows = {row.id: row for row in context.store.select(Preference, run_id=context.run.id)}
    return [rows[item.preference_id] for item in items if item.preference_id is not None]


def preference_lessons(context: RunContext, preferences: Sequence[Preference], *, pairwise: bool) -> list[Lesson]:
    """Preferences as training examples; without `pairwise` the chosen texts alone."""
    wanted = {turn for row in preferences for turn in (row.chosen_turn_id, row.rejected_turn_id)}
    texts = {turn.id: turn.content for turn in context.store.select(Turn, id=list(wanted))}
    inputs = {row.id: row.text for row in context.store.select(Example, id=[row.example_id for row in preferences])}
    return [
        Lesson(
            TrainingExample(
                row.id,
                context.student.prompt(inputs[row.example_id]),
                texts[row.chosen_turn_id],
                texts[row.rejected_turn_id] if pairwise else None,
                row.margin,
            ),
            preference_id=row.id,
        )
        for row in preferences
    ]


def _begin(
    context: RunContext,
    stage: TrainingStage,
    round_number: int,
    objective: str,
    settings: FineTuneSettings,
    lessons: Sequence[Lesson],
    parent: int,
    version: int,
) -> Training:
    run_id = context.run.id
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
        examples=len(lessons),
    )
    items = [
        TrainingItem(
            id=derive_id(training.id, position),
            training_id=training.id,
            run_id=run_id,
            position=position,
            turn_id=lesson.turn_id,
            preference_id=lesson.preference_id,
        )
        for position, lesson in enumerate(lessons)
    ]
    begun = context.store.get(Training, training.id)
    if begun is not None:
        return begun
    context.store.add(training, *items)
    return training


async def _train(
    context: RunContext,
    training: Training,
    objective: str,
    settings: FineTuneSettings,
    lessons: Sequence[Lesson],
    parent: int,
    version: int,
) -> AdapterRef:
    job = TrainingJob(
        student=context.config.student.model,
        device=context.config.student.device,
        examples=tuple(lesson.example for lesson in lessons),
        objective=objective,
        settings=settings,
        lora=context.config.training.lora,
        seed=training.seed,
        parent=context.adapter(parent),
        adapters=str(context.adapters_folder),
        version=version,
    )
    label = f"{training.stage if training.stage == 'imitation' else f'round {training.round}'}: {objective}"
    began = time.monotonic()
    with context.progress.bar(label, 1, "steps") as bar:

        def show(progress: TrainingProgress) -> None:
            if progress.steps:
                bar.reach(progress.step, progress.steps)
                rate = progress.tokens / max(1e-6, time.monotonic() - began)
                bar.note(f"loss {progress.loss:.3f}, {rate:.0f} tokens/s")

        try:
            ref, metrics = await context.trainer.train(job, show)
        except TrainingError:
            context.store.update(Training, training.id, status="failed", finished_at=now())
            raise
        bar.reach(metrics.steps, metrics.steps)
        bar.note(f"loss {metrics.final_loss:.3f}, {metrics.tokens / metrics.seconds:.0f} tokens/s")
    context.store.add_new(
        *(TrainingMetric(training_id=training.id, step=int(row["step"]), values=row) for row in metrics.curve)
    )
    facts = {
        "steps": metrics.steps,
        "tokens": metrics.tokens,
        "seconds": metrics.seconds,
        "final_loss": metrics.final_loss,
        "examples": metrics.examples,
    }
    context.store.update(Training, training.id, status="finished", metrics=facts, finished_at=now())
    return ref
