"""Dialogues that several workers hold, on real Ray: as one driver would hold them, whatever becomes of a worker."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from openmic.core.errors import BudgetError
from openmic.core.records import Generation, GenerationRequest, Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.graph.workers.workers import DialogueWorkers
from openmic.store import Dialogue, LLMCall, Preference, Store, Turn

from ...postgresql import Server
from ..conftest import Bench, Heard, Prepare, ScriptedPool, Serve, config_of, example_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("ray_running")]
TRAIN = [example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(8)]
TEXTS = [
    "My bus left without me, and so did my dignity.",
    "The bus left. It said it needed space.",
    "Buses leave. I stay.",
]
TWO = {"candidates": 3, "max_revisions": 0, "workers": 2, "concurrency": 8}


class Pool(ScriptedPool):
    """Does something before it answers the request of a number."""

    def __init__(self, at: int = 0, act: Callable[[], None] = lambda: None) -> None:
        super().__init__(TEXTS)
        self.at, self.act = at, act

    async def generate(self, request: GenerationRequest) -> Generation:
        generation = await super().generate(request)
        if len(self.requests) == self.at:
            self.act()
        return generation


def held_by_workers(bench: Bench, pool: ScriptedPool) -> Heard:
    """A round held by two workers; what was told meanwhile."""
    heard = Heard()

    async def act(context: RunContext) -> None:
        context.progress = heard
        promotion.record_base(context)
        context.holder = DialogueWorkers(context)
        try:
            await collect(context, 1)
        finally:
            assert [tuple(await drain()) for drain in context.drains] == [(0, 0)]

    bench.play(pool, act)
    return heard


def workers() -> list[psutil.Process]:
    """Those that are there; a test's workers are no children of the process that asked for them."""
    actors = ray._private.state.actors().values()
    pids = [actor["Pid"] for actor in actors if actor["ActorClassName"].endswith("DialogueWorker")]
    found = [psutil.Process(pid) for pid in pids if pid and psutil.pid_exists(pid)]
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def facts(store: Store) -> dict[str, Any]:
    """What was said and what came of it; ids follow from places, so equal ones are equal runs'."""
    return {
        "turns": {row.id: (row.kind, row.content, row.seed, row.note) for row in store.select(Turn)},
        "preferences": {(row.id, row.chosen_turn_id, row.source) for row in store.select(Preference)},
        "dialogues": {row.id: (row.status, row.stop_reason, row.final_turn_id) for row in store.select(Dialogue)},
        "replies": {row.key for row in store.select(LLMCall)},
    }


def by_one_driver(empty_store: Path, folder: Path, url: str) -> dict[str, Any]:
    """The same round without a worker, in a store of its own."""
    folder.mkdir()
    shutil.copy(empty_store, folder / "store.db")
    with Store.open(str(folder / "store.db")) as store:
        dialogue = {name: value for name, value in TWO.items() if name != "workers"}

        async def act(context: RunContext) -> None:
            promotion.record_base(context)
            await collect(context, 1)

        Bench(store, folder, config_of(dialogue=dialogue), TRAIN, url).play(Pool(), act)
        return facts(store)


def answered(log: Path) -> Counter[str]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return Counter(line["request_hash"] for line in lines if line["status"] == 200)


def test_what_a_worker_held_when_it_was_killed_is_held_by_another_and_all_is_as_with_one_driver(
    prepare: Prepare,
    store: Store,
    serve: Serve,
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-driver-alone")  # Ray was started without it
    log = tmp_path / "cast.jsonl"
    url = serve(log, api_key="sk-of-the-driver-alone", latency_s=0.2)
    killed = list[int]()

    def kill() -> None:
        victim = workers()[0]
        killed.append(victim.pid)
        victim.kill()

    heard = held_by_workers(prepare(TRAIN, url, dialogue=TWO), Pool(2 * len(TEXTS) * 3, kill))
    asked = answered(log)
    assert killed
    assert len([line for line in heard.lines if "dialogues go to others" in line]) == 1
    assert {row.status for row in store.select(Dialogue, stage=Stage.COLLECT)} == {"finished"}
    assert sum(number - 1 for number in asked.values()) <= 8 * 2, "no more than was on its way is asked for again"
    assert len(asked) == store.count(LLMCall)
    assert facts(store) == by_one_driver(empty_store, tmp_path / "one", url)
    assert not workers(), "they end with the run"
    assert "sk-of-the-driver-alone" not in "".join(heard.lines)


class Deadly:
    """A critic, given in Python, that ends its process over one input."""

    def compare(self, source: str, first: str, second: str) -> float:
        if "number 3" in source:
            os._exit(1)
        return 0.9


def test_a_dialogue_that_ends_every_worker_fails_alone_and_the_others_are_held(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.graph.workers.workers.MOST_DEATHS", 2)
    bench = prepare(
        TRAIN[2:5],
        cast={"critic": {"use": f"{__name__}:Deadly"}},
        dialogue=TWO | {"concurrency": 2, "teacher_fallback": False},
    )
    bench.objects["cast.critic"] = Deadly()
    heard = held_by_workers(bench, Pool())
    failed = store.select(Dialogue, status="failed")
    assert [row.example_id for row in failed] == [TRAIN[3].id]
    assert "each of the 2 workers that held it ended" in str(failed[0].error)
    assert len([line for line in heard.lines if "dialogues go to others" in line]) == 2


def test_workers_stop_at_the_budget_with_what_is_on_its_way(
    prepare: Prepare, store: Store, serve: Serve, tmp_path: Path
) -> None:
    log, limit = tmp_path / "cast.jsonl", 1000
    url = serve(log, latency_s=0.2)
    bench = prepare(TRAIN, url, dialogue=TWO | {"concurrency": 2}, budget={"tokens": limit})
    with pytest.raises(BudgetError):
        held_by_workers(bench, Pool())
    calls = [one.reply["usage"]["input"] + one.reply["usage"]["output"] for one in store.select(LLMCall)]
    assert limit <= sum(calls) <= limit + 4 * max(calls)
    assert len(calls) == answered(log).total()
    assert store.count(Dialogue, status="failed") == 0


def test_an_interrupt_waits_for_what_workers_asked_and_one_driver_goes_on_from_there(
    prepare: Prepare, store: Store, serve: Serve, empty_store: Path, tmp_path: Path
) -> None:
    log = tmp_path / "cast.jsonl"
    url = serve(log, latency_s=1.0)
    bench = prepare(TRAIN, url, dialogue=TWO)

    def interrupt() -> None:
        raise KeyboardInterruptedError

    with pytest.raises(RuntimeError, match="KeyboardInterruptedError"):
        held_by_workers(bench, Pool(len(TRAIN) * len(TEXTS), interrupt))
    calls = store.count(LLMCall)
    assert calls == answered(log).total() > 0
    bench.play(Pool(), lambda context: collect(context, 1))
    assert set(answered(log).values()) == {1}
    assert facts(store) == by_one_driver(empty_store, tmp_path / "one", url)


class KeyboardInterruptedError(Exception):
    """Stands for an interruption."""


def test_workers_write_to_a_database_each_by_itself(
    server: Server, serve: Serve, empty_store: Path, tmp_path: Path
) -> None:
    url = serve()
    server.sql("CREATE DATABASE of_workers")
    with Store.open(server.url("of_workers")) as store:
        held_by_workers(Bench(store, tmp_path, config_of(dialogue=TWO), TRAIN, url), Pool())
        assert facts(store) == by_one_driver(empty_store, tmp_path / "one", url)
