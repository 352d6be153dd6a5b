"""The gate between students and trainer: never both at once where they take turns, and both where there is room."""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.config import RunConfig
from openmic.graph.context import train_gate as overlap
from openmic.graph.context.train_gate import TrainGate, room_for_both

from ..conftest import config_of


class Floor:
    """Who is at work; asserts that turns are kept."""

    def __init__(self, train_gate: TrainGate) -> None:
        self.train_gate = train_gate
        self.generating, self.training, self.both = 0, 0, False

    async def generate(self, release: asyncio.Event) -> None:
        async with self.train_gate.generating():
            self.generating += 1
            self._look()
            await release.wait()
            self.generating -= 1

    async def train(self, release: asyncio.Event) -> None:
        async with self.train_gate.training():
            self.training += 1
            self._look()
            await release.wait()
            self.training -= 1

    def _look(self) -> None:
        self.both = self.both or bool(self.generating and self.training)


async def let_run() -> None:
    """Let every task get as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_training_waits_for_what_is_in_flight_and_nothing_begins_meanwhile() -> None:
    async def scenario() -> None:
        floor, answered, trained = Floor(TrainGate(overlapped=False)), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(floor.generate(answered)) for _ in range(3)]
        await let_run()
        tasks.append(asyncio.create_task(floor.train(trained)))
        await let_run()
        tasks += [asyncio.create_task(floor.generate(answered)) for _ in range(2)]
        await let_run()
        assert (floor.generating, floor.training) == (3, 0)
        answered.set()
        await let_run()
        assert (floor.generating, floor.training) == (0, 1)
        trained.set()
        await asyncio.gather(*tasks)  # those that waited are answered too
        assert not floor.both

    asyncio.run(scenario())


def test_both_are_at_work_where_there_is_room() -> None:
    async def scenario() -> None:
        floor, over = Floor(TrainGate(overlapped=True)), asyncio.Event()
        tasks = [asyncio.create_task(work(over)) for work in (floor.generate, floor.train, floor.generate)]
        await let_run()
        assert (floor.generating, floor.training) == (2, 1)
        over.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


@pytest.mark.parametrize("who", ["a training that waits", "a training", "a generation"])
def test_who_is_cancelled_gives_the_turn_back(who: str) -> None:
    async def scenario() -> None:
        train_gate = TrainGate(overlapped=False)
        floor, never, over = Floor(train_gate), asyncio.Event(), asyncio.Event()
        first = [asyncio.create_task(floor.generate(never))] if who != "a training" else []
        await let_run()
        if who != "a generation":
            first.append(asyncio.create_task(floor.train(never)))
        await let_run()
        for task in reversed(first):
            task.cancel()
            await asyncio.wait([task])
        over.set()
        await floor.generate(over) if who != "a generation" else await gate_trains(train_gate)
        async with train_gate.training():
            pass

    async def gate_trains(train_gate: TrainGate) -> None:
        async with train_gate.training():
            pass

    asyncio.run(scenario())


@given(st.lists(st.sampled_from(["generate", "train", "let go", "let_run"]), max_size=40))
def test_they_never_work_at_once_and_all_get_their_turn(course: list[str]) -> None:
    async def scenario() -> None:
        floor, trainings = Floor(TrainGate(overlapped=False)), asyncio.Lock()
        waiting: list[asyncio.Event] = []
        tasks: list[asyncio.Task[None]] = []

        async def train(release: asyncio.Event) -> None:
            async with trainings:
                await floor.train(release)

        for step in course:
            if step == "let_run":
                await let_run()
            elif step == "let go" and waiting:
                waiting.pop(0).set()
            elif step != "let go":
                release = asyncio.Event()
                waiting.append(release)
                tasks.append(asyncio.create_task((floor.generate if step == "generate" else train)(release)))
        for release in waiting:
            release.set()
        await asyncio.gather(*tasks)
        assert not floor.both
        assert floor.generating == floor.training == 0

    asyncio.run(scenario())


def asked(**sections: Any) -> RunConfig:
    return config_of(**sections)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_always_and_never_are_what_they_say(elsewhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_room_without_gpu", lambda: elsewhere)
    assert room_for_both(asked(training={"overlap": "always"}))
    assert not room_for_both(asked(training={"overlap": "never"}))
    assert room_for_both(asked(student={"device": "cpu"})) is elsewhere


@pytest.mark.parametrize(
    "sections",
    [
        {"student": {"device": "cuda:1"}},
        {"student": {"device": "cpu", "pool": {"gpus_per_actor": 0.5}}},
        {"student": {"device": "cpu"}, "training": {"gpus_per_worker": 1}},
        {"student": {"device": "cpu", "engine": "endpoint", "endpoint": {"base_url": "http://gpu:8000/v1"}}},
    ],
)
def test_a_gpu_or_a_server_elsewhere_is_room(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_room_without_gpu", lambda: False)
    assert room_for_both(asked(**sections))


@pytest.mark.parametrize(
    ("nodes", "cpus", "room"), [([2.0], 2, False), ([16.0], 16, True), ([9.0], 2, False), ([2.0, 2.0], 2, True)]
)
def test_without_a_gpu_there_is_room_on_many_cpus_or_several_nodes(
    nodes: list[float], cpus: int, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    dead = {"Alive": False, "Resources": {"CPU": 64.0}}
    alive = [{"Alive": True, "Resources": {"CPU": number}} for number in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: [*alive, dead])
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    assert room_for_both(asked(student={"device": "cpu"})) is room
