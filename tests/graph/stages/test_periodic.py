"""Periodic training: when an improvement begins, which adapter dialogues are held with, and whose turn it is."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from openmic.core.errors import TrainingError
from openmic.core.ids import derive_id
from openmic.core.records import AdapterRef, Generation, GenerationRequest, Stage, TrainingMetrics, TurnKind
from openmic.graph.context.run_context import RunContext
from openmic.graph.context.train_gate import TrainGate
from openmic.graph.rollout.recording import open_dialogue, student_turn
from openmic.graph.stages import collect as collecting
from openmic.graph.stages import periodic
from openmic.store import Adapter, Dialogue, Store, Training, Turn
from openmic.training.trainer.trainer import Trainer

from ..conftest import Bench, Prepare, ScriptedPool, committed, example_of

DRAFTS = [
    "The kettle in our kitchen broke again this morning, and now the umbrella is jealous of the kitchen.",
    "The kettle in our kitchen broke again this morning, which was a thing that happened.",
]
EXAMPLES = [example_of(f"The kettle in kitchen number {n} broke again this morning.") for n in range(8)]
SETTINGS: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "teacher_fallback": False, "concurrency": 1}


def register(context: RunContext, version: int) -> None:
    identity = derive_id(context.run.id, "adapter", version)
    context.store.add(
        Adapter(
            id=identity, run_id="RUN1", version=version, stage="round", round=1, base_model="tiny", status="promoted"
        )
    )


class Improvements:
    """In place of training: every dialogue that ends has yielded one preference, and each improvement is promoted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, consumes: bool = True) -> None:
        self.consumes = consumes
        self.done: list[tuple[int, list[int]]] = []
        """Of each improvement the version it began from, and those that wrote what it learned from."""
        self._consumed: set[str] = set()
        monkeypatch.setattr(periodic, "new_preferences", self._waiting)
        monkeypatch.setattr(periodic, "improve", self._improve)

    def _waiting(self, context: RunContext, *_: object) -> list[tuple[Any, int]]:
        ended = context.store.select(Dialogue, stage=Stage.COLLECT, status="finished")
        return [(SimpleNamespace(id=row.id), 0) for row in ended if row.id not in self._consumed]

    async def _improve(self, context: RunContext, _: int) -> int:
        promoted_version = context.promoted_version
        learned = {row.id for row, _ in self._waiting(context)}
        versions = [turn.adapter_version for turn in context.store.select(Turn, dialogue_id=list(learned), seq=0)]
        self.done.append((promoted_version, [version for version in versions if version is not None]))
        self._consumed |= learned if self.consumes else set()
        await asyncio.sleep(0)
        register(context, promoted_version + 1)
        return promoted_version + 1


def hold_round(stage: Bench, pool: ScriptedPool) -> int:
    async def act(context: RunContext) -> int:
        register(context, 1)
        await collecting.collect(context, 1)
        return context.promoted_version

    return stage.play(pool, act)


def versions(store: Store) -> list[int | None]:
    """The adapter of each dialogue's drafts, in the order the dialogues were begun."""
    drafts = {turn.dialogue_id: turn.adapter_version for turn in store.select(Turn, seq=0)}
    return [drafts[row.id] for row in store.select(Dialogue, stage=Stage.COLLECT, order_by="started_at")]


def test_the_student_is_trained_whenever_enough_has_come_together(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, pool = prepare(EXAMPLES, dialogue=SETTINGS, training={"train_every": 3}), ScriptedPool(DRAFTS)
    improvements = Improvements(monkeypatch)
    assert hold_round(stage, pool) == 3
    assert [promoted_version for promoted_version, _ in improvements.done] == [1, 2]
    assert versions(store)[:3] == [1, 1, 1]
    assert versions(store)[-1] == 3
    assert [ref.version for ref in pool.loaded] == [1, 2, 3]


def test_without_a_period_nothing_is_trained_between(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    improvements = Improvements(monkeypatch)
    assert hold_round(prepare(EXAMPLES, dialogue=SETTINGS), ScriptedPool(DRAFTS)) == 1
    assert improvements.done == []
    assert set(versions(store)) == {1}


@pytest.mark.parametrize("max_staleness", [0, 1, 2])
@pytest.mark.parametrize("every", [1, 3])
def test_nothing_that_is_learned_from_is_staler_than_it_may_be(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch, max_staleness: int, every: int
) -> None:
    settings = {**SETTINGS, "concurrency": 4}
    stage = prepare(EXAMPLES, dialogue=settings, training={"train_every": every, "max_staleness": max_staleness})
    improvements = Improvements(monkeypatch)
    hold_round(stage, ScriptedPool(DRAFTS))
    assert improvements.done
    assert all(
        promoted_version - version <= max_staleness
        for promoted_version, wrote in improvements.done
        for version in wrote
    )
    assert store.count(Dialogue, status="finished") == len(EXAMPLES)


def test_what_a_training_makes_nothing_of_holds_nobody_up(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = prepare(EXAMPLES, dialogue={**SETTINGS, "concurrency": 3}, training={"train_every": 2, "max_staleness": 0})
    improvements = Improvements(monkeypatch, consumes=False)
    hold_round(stage, ScriptedPool(DRAFTS))
    assert store.count(Dialogue, status="finished") == len(EXAMPLES)
    assert len(improvements.done) <= len(EXAMPLES) / 2


def test_a_training_that_fails_ends_the_round(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = prepare(EXAMPLES, dialogue=SETTINGS, training={"train_every": 1})
    Improvements(monkeypatch)

    async def improve(*_: Any) -> int:
        raise TrainingError("the loss became nan")

    monkeypatch.setattr(periodic, "improve", improve)
    with pytest.raises(TrainingError, match="became nan"):
        hold_round(stage, ScriptedPool(DRAFTS))


def test_after_an_interruption_each_dialogue_goes_on_with_its_own_adapter(prepare: Prepare, store: Store) -> None:
    stage = prepare(EXAMPLES[:2], dialogue=SETTINGS)
    pool = ScriptedPool(DRAFTS)

    async def act(context: RunContext) -> None:
        for version in (1, 2):
            register(context, version)
        begun = await open_dialogue(context, Stage.COLLECT, 1, EXAMPLES[0])
        request = context.student.draft(f"{begun.id}:0", EXAMPLES[0].text, context.config.student.sampling, 1)

        template = context.student.template("draft")
        await student_turn(context, begun, 0, TurnKind.DRAFT, request, template, source=EXAMPLES[0].text)
        await collecting.collect(context, 1)
        assert context.promoted_version == 2

    stage.play(pool, act)
    assert sorted(version for version in versions(store) if version) == [1, 2]
    assert [ref.version for ref in pool.loaded] == [1, 2]
    assert {turn.adapter_version for turn in store.select(Turn, agent="student", dialogue_id=_first(store))} == {1}


def _first(store: Store) -> str:
    return next(row.id for row in store.select(Dialogue) if row.example_id == EXAMPLES[0].id)


# Whose turn it is


class WatchedPool(ScriptedPool):
    """Tells whoever watches of every generation."""

    begun: Callable[[], None]
    training: asyncio.Event | None = None
    """Until when the student says nothing in the last dialogue."""

    async def generate(self, request: GenerationRequest) -> Generation:
        if self.training is not None and EXAMPLES[-1].id in request.id:
            await asyncio.wait_for(self.training.wait(), 20)
        self.begun()
        return await super().generate(request)


class WatchedTrainer:
    """Trains for a while, until a student begins to generate; sees whether one does."""

    def __init__(self, pool: WatchedPool, overlapped: bool) -> None:
        self.training, self.overlapped = False, overlapped
        self.generated: list[bool] = []
        """Whether it was training, for each generation."""
        self.begun, self.began = asyncio.Event(), asyncio.Event()
        pool.begun = self._generated

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        self.training = True
        self.began.set()
        with suppress(TimeoutError):  # where it has its turn none may, and in the end none is left
            await asyncio.wait_for(self.begun.wait(), 5 if self.overlapped else 0.2)
        self.training = False
        return committed(job), TrainingMetrics(1, 1, 1, 1.0, 0.5)

    def _generated(self) -> None:
        self.generated.append(self.training)
        if self.training:
            self.begun.set()


@pytest.mark.parametrize("overlapped", [True, False])
def test_students_generate_during_a_training_where_it_is_overlapped_and_only_there(
    prepare: Prepare, store: Store, overlapped: bool
) -> None:
    stage = prepare(
        EXAMPLES, dialogue={**SETTINGS, "concurrency": 2}, training={"train_every": 3}, student={"model": "tiny"}
    )
    pool = WatchedPool(DRAFTS)

    async def act(context: RunContext) -> list[bool]:
        context.train_gate = TrainGate(overlapped=overlapped)
        trainer = WatchedTrainer(pool, overlapped)
        context.trainer = cast(Trainer, trainer)
        pool.training = trainer.began if overlapped else None
        register(context, 1)
        await collecting.collect(context, 1)
        return trainer.generated

    assert any(stage.play(pool, act)) is overlapped
    assert store.count(Dialogue, status="finished") == len(EXAMPLES)
    trainings = store.select(Training, order_by="adapter_version")
    assert trainings
    promoted = [row.version for row in store.select(Adapter, status="promoted", order_by="version")]
    assert pool.promoted == promoted  # of which the pool makes the metric of staleness
    stalenesses = [training.metrics["staleness"] for training in trainings]
    assert sum(count for lag in stalenesses for count in lag.values()) == sum(
        training.examples for training in trainings
    )
    assert stalenesses[0] == {"0": trainings[0].examples}
    assert {lag for found in stalenesses for lag in found} <= {"0", "1"}
