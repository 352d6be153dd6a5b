"""Periodic training: when an improvement begins, and which adapter dialogues are held with. Training is scripted."""

import asyncio
from typing import Any

import pytest

from openmic.core.errors import TrainingError
from openmic.core.ids import derive_id
from openmic.core.records import Stage as StageName
from openmic.core.records import TurnKind
from openmic.graph import periodic
from openmic.graph.recording import open_dialogue, student_turn
from openmic.graph.runtime import RunContext
from openmic.graph.stages import rehearse as rehearsing
from openmic.store import Adapter, Dialogue, Store, Turn

from .conftest import Prepare, ScriptedPool, Stage, example_of

DRAFTS = ["The kettle broke, which was a thing that happened.", "Our kettle broke once more, and that is all."]
EXAMPLES = [example_of(f"The kettle in kitchen number {n} broke again this morning.") for n in range(6)]


def register(context: RunContext, version: int) -> None:
    identity = derive_id(context.run.id, "adapter", version)
    context.store.add(
        Adapter(
            id=identity, run_id="RUN1", version=version, stage="round", round=1, base_model="tiny", status="promoted"
        )
    )


def hold_round(stage: Stage, pool: ScriptedPool, monkeypatch: pytest.MonkeyPatch, waiting: list[int]) -> list[Any]:
    """A round with scripted training: `waiting` is how many preferences there are after each dialogue."""
    done: list[Any] = []
    counts = iter(waiting)
    monkeypatch.setattr(periodic, "preferences_waiting", lambda _: next(counts))

    async def improve(context: RunContext, number: int, serving: int) -> int:
        done.append(("improve", number, serving))
        await asyncio.sleep(0.01)
        register(context, serving + 1)
        return serving + 1

    monkeypatch.setattr(periodic, "improve", improve)

    async def act(context: RunContext) -> None:
        register(context, 1)
        done.append(("serving", await rehearsing.rehearse(context, 1, 1)))

    stage.play(pool, act)
    return done


def versions(store: Store) -> list[int | None]:
    """The adapter of each dialogue's drafts, in the order the dialogues were begun."""
    drafts = {turn.dialogue_id: turn.adapter_version for turn in store.select(Turn, seq=0)}
    return [drafts[row.id] for row in store.select(Dialogue, stage=StageName.REHEARSE, order_by="started_at")]


SETTINGS: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "rescue": False, "concurrency": 1}


def test_the_student_is_trained_whenever_enough_has_come_together(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = prepare(EXAMPLES, dialogue=SETTINGS, training={"every": 3})
    pool = ScriptedPool(DRAFTS)
    done = hold_round(stage, pool, monkeypatch, [1, 3, 1, 1, 1, 1])
    assert done == [("improve", 1, 1), ("serving", 2)]
    assert versions(store)[0] == 1
    assert sorted(set(versions(store))) in ([1], [1, 2])  # how soon the next dialogue begins is up to the clock
    assert [ref.version for ref in pool.loaded] == [1, 2]


def test_without_a_period_nothing_is_trained_between(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hold_round(prepare(EXAMPLES, dialogue=SETTINGS), ScriptedPool(DRAFTS), monkeypatch, []) == [("serving", 1)]
    assert set(versions(store)) == {1}


def test_a_training_that_fails_ends_the_round(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = prepare(EXAMPLES, dialogue=SETTINGS, training={"every": 1})
    monkeypatch.setattr(periodic, "preferences_waiting", lambda _: 1)

    async def improve(*_: Any) -> int:
        raise TrainingError("the loss became nan")

    monkeypatch.setattr(periodic, "improve", improve)

    async def act(context: RunContext) -> None:
        register(context, 1)
        await rehearsing.rehearse(context, 1, 1)

    with pytest.raises(TrainingError, match="became nan"):
        stage.play(ScriptedPool(DRAFTS), act)


def test_after_an_interruption_each_dialogue_goes_on_with_its_own_adapter(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = prepare(EXAMPLES[:2], dialogue=SETTINGS)
    pool = ScriptedPool(DRAFTS)

    async def act(context: RunContext) -> None:
        for version in (1, 2):
            register(context, version)
        begun = open_dialogue(context, StageName.REHEARSE, 1, EXAMPLES[0])
        request = context.student.draft(f"{begun.id}:0", EXAMPLES[0].text, context.config.student.sampling, 1)

        template = context.student.template("draft")
        await student_turn(context, begun, 0, TurnKind.DRAFT, request, template, source=EXAMPLES[0].text)
        assert await rehearsing.rehearse(context, 1, 1) == 2

    stage.play(pool, act)
    assert sorted(version for version in versions(store) if version) == [1, 2]
    assert [ref.version for ref in pool.loaded] == [1, 2]
    assert {turn.adapter_version for turn in store.select(Turn, agent="student", dialogue_id=_first(store))} == {1}


def _first(store: Store) -> str:
    return next(row.id for row in store.select(Dialogue) if row.example_id == EXAMPLES[0].id)
