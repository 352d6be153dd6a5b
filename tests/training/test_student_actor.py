import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from openmic.core.config import StudentSettings
from openmic.core.errors import GenerationError
from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.training.static_engine import StaticEngine
from openmic.training.student_actor import StudentWorker

from .asking import request


def worker(folder: Path, **changes: float) -> StudentWorker:
    settings = StudentSettings.model_validate({"model": str(folder), "device": "cpu", "batch_wait_ms": 200.0} | changes)
    return StudentWorker(settings, 1, [])


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that engines were given."""
    sizes: list[int] = []
    real = StaticEngine.generate

    def generate(self: StaticEngine, requests: Sequence[GenerationRequest]) -> list[Generation]:
        sizes.append(len(requests))
        if any(each.id == "breaks" for each in requests):
            raise ZeroDivisionError("out of numbers")
        return real(self, requests)

    monkeypatch.setattr(StaticEngine, "generate", generate)
    return sizes


def test_callers_share_batches_up_to_the_largest_one(tiny_causal: Path, batches: list[int]) -> None:
    async def scenario() -> None:
        one = worker(tiny_causal, max_batch=8)
        await asyncio.gather(*(one.generate(request(seed=seed, max_tokens=2)) for seed in range(20)))

    asyncio.run(scenario())
    assert batches == [8, 8, 4]


def test_a_lone_caller_waits_no_longer_than_it_was_told(tiny_causal: Path, batches: list[int]) -> None:
    async def scenario() -> None:
        one = worker(tiny_causal, max_batch=8, batch_wait_ms=50.0)
        generation = await asyncio.wait_for(one.generate(request(max_tokens=2)), 20)
        assert generation.queue_ms >= 50

    asyncio.run(scenario())
    assert batches == [1]


def test_a_defect_reaches_its_caller_alone_and_the_worker_goes_on(tiny_causal: Path, batches: list[int]) -> None:
    async def scenario() -> None:
        one = worker(tiny_causal, max_batch=3)
        asked = [request(id=name, max_tokens=2) for name in ("a", "breaks", "b")]
        found = await asyncio.gather(*(one.generate(each) for each in asked), return_exceptions=True)
        assert [getattr(each, "request_id", None) for each in found] == ["a", None, "b"]
        assert "generation failed: ZeroDivisionError: out of numbers" in str(found[1])
        assert (await one.generate(request(id="after", max_tokens=2))).request_id == "after"

    asyncio.run(scenario())
    assert batches == [3, 1, 1, 1, 1]


def test_a_beam_that_does_not_exist_fails_alone_and_the_others_share_their_search(
    tiny_causal: Path, batches: list[int]
) -> None:
    async def scenario() -> None:
        one = worker(tiny_causal, max_batch=4)
        asked = [request(num_beams=3, beam=beam, temperature=0.7, max_tokens=6, id=f"b{beam}") for beam in range(4)]
        found = await asyncio.gather(*(one.generate(each) for each in asked), return_exceptions=True)
        assert isinstance(found[3], GenerationError)
        beams = [each for each in found if isinstance(each, Generation)]
        assert [each.request_id for each in beams] == ["b0", "b1", "b2"]
        assert len({each.token_ids for each in beams}) == 3

    asyncio.run(scenario())
    assert batches == [4, 1, 1, 1, 1]


def test_an_adapter_waits_for_the_batch_that_is_running(
    tiny_causal: Path, adapters: list[AdapterRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    begun = threading.Event()
    generate, load = StaticEngine.generate, StaticEngine.load_adapter

    def watched_generate(self: StaticEngine, requests: Sequence[GenerationRequest]) -> list[Generation]:
        begun.set()
        order.append("generate")
        answers = generate(self, requests)
        order.append("generated")
        return answers

    def watched_load(self: StaticEngine, ref: AdapterRef, *, make_current: bool) -> None:
        order.append("load")
        load(self, ref, make_current=make_current)

    monkeypatch.setattr(StaticEngine, "generate", watched_generate)
    monkeypatch.setattr(StaticEngine, "load_adapter", watched_load)

    async def scenario() -> None:
        one = worker(tiny_causal, max_batch=4, batch_wait_ms=0.0)
        running = asyncio.ensure_future(one.generate(request(max_tokens=60)))
        await asyncio.to_thread(begun.wait)
        assert await one.load_adapter(adapters[0]) == await one.ready() == 1
        later = await one.generate(request(max_tokens=2))
        assert ((await running).adapter_version, later.adapter_version) == (0, 1)

    asyncio.run(scenario())
    assert order == ["generate", "generated", "load", "generate", "generated"]
