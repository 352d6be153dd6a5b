"""What a training learned from, as the store has it afterwards."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from openmic.core.errors import AlteredAdapterError
from openmic.core.ids import derive_id
from openmic.core.records import AdapterRef, TrainingMetrics
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import collect as collecting
from openmic.graph.stages.fine_tune import fine_tune_on_feedback
from openmic.store import Adapter, Store, Training, TrainingItem, TrainingMetric
from openmic.store.lineage.explain import explain_adapter
from openmic.training.adapters.adapters import verify_adapter
from openmic.training.trainer.trainer import Trainer

from ..conftest import Heard, Prepare, ScriptedPool, committed, example_of

DRAFTS = [
    "The kettle in our kitchen broke again this morning, and now the umbrella is jealous of the kitchen.",
    "The kettle in our kitchen broke again this morning, which was a thing that happened.",
]
EXAMPLES = [example_of(f"The kettle in kitchen number {n} broke again this morning.") for n in range(4)]


class CommitsAndDies:
    """A trainer whose driver dies between the commit and its record."""

    def __init__(self, *, tells: bool) -> None:
        self._tells = tells

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        first, *rest = [example.id for phase in job.phases for example in phase.examples]
        curve = ({"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5})
        metrics = TrainingMetrics(2, len(rest), 1, 1.0, 0.5, curve=curve, left_out=(first,))
        committed(job, metrics if self._tells else None)
        raise asyncio.CancelledError


class LeavesOut:
    """A trainer for which the first example is too long."""

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        first, *rest = [example.id for phase in job.phases for example in phase.examples]
        metrics = TrainingMetrics(1, len(rest), 1, 1.0, 0.5, left_out=(first,), micro_batch_size=2)
        return committed(job), metrics


def test_what_was_too_long_or_too_much_for_memory_is_told_and_does_not_count_as_learned(
    prepare: Prepare, store: Store
) -> None:
    settings: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "teacher_fallback": False, "concurrency": 1}
    stage, heard = prepare(EXAMPLES, dialogue=settings, training={"max_length": 99}), Heard()

    async def act(context: RunContext) -> int | None:
        context.trainer, context.progress = cast(Trainer, LeavesOut()), heard
        base = derive_id("RUN1", "adapter", 0)
        context.store.add(Adapter(id=base, run_id="RUN1", version=0, stage="base", round=0, base_model="tiny"))
        context.store.update(Adapter, base, status="promoted")
        await collecting.collect(context, 1)
        return await fine_tune_on_feedback(context, 1, 0)

    version = stage.play(ScriptedPool(DRAFTS), act)
    assert version == 1
    [training] = store.select(Training)
    items = store.select(TrainingItem, order_by="position")
    why = "too long for training.max_length=99 or for the student"
    assert training.metrics["left_out_items"] == [items[0].id]
    assert (training.examples, training.metrics["left_out"]) == (len(items) - 1, 1)
    assert sum("memory ran out in the training of adapter v1: it goes on with 2" in line for line in heard.lines) == 1
    assert training.metrics["micro_batch_size"] == 2
    assert f"adapter v1 learned from {len(items) - 1} of {len(items)} examples: 1 left out, {why}" in heard.lines
    found = explain_adapter(store, "RUN1", version)
    assert (found.learned_total, len(found.learned), found.left_out) == (len(items) - 1, len(items) - 1, {why: 1})


@pytest.mark.parametrize("tells", [True, False])
def test_a_driver_that_died_between_commit_and_record_leaves_nothing_unknown(
    prepare: Prepare, store: Store, tells: bool
) -> None:
    settings: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "teacher_fallback": False, "concurrency": 1}
    stage, heard = prepare(EXAMPLES, dialogue=settings, training={"max_length": 99}), Heard()

    async def act(context: RunContext) -> int | None:
        context.trainer, context.progress = cast(Trainer, CommitsAndDies(tells=tells)), heard
        base = derive_id("RUN1", "adapter", 0)
        context.store.add(Adapter(id=base, run_id="RUN1", version=0, stage="base", round=0, base_model="tiny"))
        context.store.update(Adapter, base, status="promoted")
        await collecting.collect(context, 1)
        with pytest.raises(asyncio.CancelledError):
            await fine_tune_on_feedback(context, 1, 0)
        return await fine_tune_on_feedback(context, 1, 0)  # as `resume` does

    assert stage.play(ScriptedPool(DRAFTS), act) == 1
    [training] = store.select(Training)
    assert (training.status, "content_key" in training.metrics) == ("finished", True)
    curve = [row.values["loss"] for row in store.select(TrainingMetric, order_by="step")]
    if tells:
        items = store.select(TrainingItem, order_by="position")
        assert (curve, training.metrics["final_loss"]) == ([0.7, 0.5], 0.5)
        assert (training.examples, training.metrics["left_out_items"]) == (len(items) - 1, [items[0].id])
    else:
        assert curve == []
        assert any("how its training went is not known" in line for line in heard.lines)


def cut_off(ref: AdapterRef) -> None:
    Path(str(ref.uri), "adapter_model.safetensors").write_bytes(b"")


class Cuts:
    """A trainer whose first adapter is cut off on the disk, as where the power is lost; it may die with it."""

    def __init__(self, *, dies: bool) -> None:
        self._dies, self.trained = dies, 0

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        self.trained += 1
        ref = committed(job)
        if self.trained == 1:
            cut_off(ref)
            if self._dies:
                raise asyncio.CancelledError
        return ref, TrainingMetrics(1, 4, 1, 1.0, 0.5)


@pytest.mark.parametrize("dies", [True, False])
def test_an_adapter_that_is_not_whole_is_not_registered_and_made_anew(
    prepare: Prepare, store: Store, dies: bool
) -> None:
    settings: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "teacher_fallback": False, "concurrency": 1}
    stage, heard, trainer = prepare(EXAMPLES, dialogue=settings), Heard(), Cuts(dies=dies)

    async def act(context: RunContext) -> int | None:
        context.trainer, context.progress = cast(Trainer, trainer), heard
        base = derive_id("RUN1", "adapter", 0)
        context.store.add(Adapter(id=base, run_id="RUN1", version=0, stage="base", round=0, base_model="tiny"))
        context.store.update(Adapter, base, status="promoted")
        await collecting.collect(context, 1)
        with pytest.raises(asyncio.CancelledError if dies else AlteredAdapterError):
            await fine_tune_on_feedback(context, 1, 0)
        assert store.count(Adapter, run_id="RUN1", version=1) == 0
        return await fine_tune_on_feedback(context, 1, 0)  # as `resume` does

    assert stage.play(ScriptedPool(DRAFTS), act) == 1
    assert trainer.trained == 2
    assert [line for line in heard.lines if line.startswith("note: adapter v1 is trained anew: ")]
    [adapter] = store.select(Adapter, run_id="RUN1", version=1)
    verify_adapter(AdapterRef(1, store.located(adapter.uri or ""), adapter.sha256))
    assert store.select(Training)[0].status == "finished"
