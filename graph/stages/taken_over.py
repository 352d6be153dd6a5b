"""Trainings that are what an earlier run's were: its adapter is taken over, and nothing is trained."""

import asyncio
from dataclasses import replace

from ...core.errors import AdapterError
from ...core.ids import derive_id
from ...core.records import AdapterRef
from ...store import Adapter, Training, TrainingItem, TrainingMetric
from ...store.schema import now
from ...store.writes import adding_new, updating
from ...training.adapters.adapters import verify_adapter
from ...training.trainer.actor import TrainingJob
from ..context.run_context import RunContext

CONTENT = "content_key"
"""Where in a training's metrics its content key is."""


def content_key(job: TrainingJob) -> str:
    """The key of what a training learns, in which order and how, whichever run's rows it comes from."""
    phases = (
        phase._replace(examples=tuple(replace(one, id=str(place)) for place, one in enumerate(phase.examples)))
        for phase in job.phases
    )
    return replace(job, phases=tuple(phases)).key


async def take_over(context: RunContext, training: Training, content: str) -> AdapterRef | None:
    """The adapter of the earlier run's training with the same content, recorded as made; None where there is none.

    Its files stay where they are. Where they are gone or were altered it is trained anew.
    """
    store, reuse = context.store, context.reuse
    if reuse is None:
        return None
    finished = await store.patiently(
        store.select, Training, run_id=reuse.of_same_files, status="finished", order_by="started_at"
    )
    source = next((row for row in finished if row.metrics.get(CONTENT) == content), None)
    made = [] if source is None else await store.patiently(store.select, Adapter, training_id=source.id)
    if source is None or not made:
        return None
    ref = AdapterRef(training.adapter_version, store.located(made[0].uri or ""), made[0].sha256)
    try:
        await asyncio.to_thread(verify_adapter, ref)
    except AdapterError as error:
        context.progress.print(f"note: adapter v{ref.version} of run {source.run_id} is trained anew: {error}")
        return None
    curve = await store.patiently(store.select, TrainingMetric, training_id=source.id, order_by="step")
    left = source.metrics.get("left_out_items", [])
    positions = [item.position for item in await store.patiently(store.select, TrainingItem, id=left)] if left else []
    rows = [TrainingMetric(training_id=training.id, step=row.step, values=row.values) for row in curve]
    await store.keep(adding_new(*rows))
    metrics = {
        **source.metrics,
        **training.metrics,
        **({"left_out_items": [derive_id(training.id, position) for position in positions]} if left else {}),
        "taken_from": source.metrics.get("taken_from", source.run_id),
    }
    ended = {"status": "finished", "examples": source.examples, "metrics": metrics, "finished_at": now()}
    await store.keep(updating(Training, training.id, **ended))
    return ref
