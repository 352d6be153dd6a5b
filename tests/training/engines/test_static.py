import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from openmic.core.errors import GenerationError
from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.testing import EngineConformance
from openmic.training.engines.adapter_slots import AdapterSlots
from openmic.training.engines.conformance import BuildEngine, ask, scenario
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.static import BatchGenerator, StaticEngine
from openmic.training.engines.tiny_student import TinyStudent

from ..conftest import BuildStudent
from ..factories import request


class TestStatic(EngineConformance):
    samples_as_openmic = True

    @pytest.fixture
    def build(self, tiny: TinyStudent) -> BuildEngine:
        return lambda: StaticEngine(tiny.fresh(), max_batch=16, wait_ms=2.0, threads=1)


def engine_of(student: BuildStudent, *, max_batch: int = 8, wait_ms: float = 200.0) -> StaticEngine:
    return StaticEngine(student("llama"), max_batch=max_batch, wait_ms=wait_ms, threads=1)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that were made."""
    sizes: list[int] = []
    real = BatchGenerator.generate

    def generate(self: BatchGenerator, requests: Sequence[GenerationRequest]) -> list[Generation]:
        sizes.append(len(requests))
        if any(each.id == "breaks" for each in requests):
            raise ZeroDivisionError("out of numbers")
        return real(self, requests)

    monkeypatch.setattr(BatchGenerator, "generate", generate)
    return sizes


def run(test: Callable[[StudentEngine], Awaitable[None]], engine: StudentEngine) -> None:
    scenario(lambda: engine)(test)


def test_callers_share_batches_up_to_the_largest_one(student: BuildStudent, batches: list[int]) -> None:
    async def test(engine: StudentEngine) -> None:
        await ask(engine, [request(seed=seed, max_tokens=2) for seed in range(20)])
        assert (engine.stats.batches, engine.stats.batched_rows) == (3, 20)

    run(test, engine_of(student, max_batch=8))
    assert batches == [8, 8, 4]


def test_a_lone_caller_waits_no_longer_than_it_was_told(student: BuildStudent, batches: list[int]) -> None:
    async def test(engine: StudentEngine) -> None:
        assert (await engine.generate(request(max_tokens=2))).queue_ms >= 50

    run(test, engine_of(student, max_batch=8, wait_ms=50.0))
    assert batches == [1]


def test_a_defect_reaches_its_caller_alone_and_the_engine_goes_on(student: BuildStudent, batches: list[int]) -> None:
    async def test(engine: StudentEngine) -> None:
        asked = [request(id=name, max_tokens=2) for name in ("a", "breaks", "b")]
        found = await asyncio.gather(*(engine.generate(each) for each in asked), return_exceptions=True)
        assert [getattr(each, "request_id", None) for each in found] == ["a", None, "b"]
        assert "generation failed: ZeroDivisionError: out of numbers" in str(found[1])
        assert (await engine.generate(request(id="after", max_tokens=2))).request_id == "after"

    run(test, engine_of(student, max_batch=3))
    assert batches == [3, 1, 1, 1, 1]


def test_a_beam_that_does_not_exist_fails_alone_and_the_others_share_their_search(
    student: BuildStudent, batches: list[int]
) -> None:
    async def test(engine: StudentEngine) -> None:
        asked = [request(num_beams=3, beam=beam, temperature=0.7, max_tokens=6, id=f"b{beam}") for beam in range(4)]
        found = await asyncio.gather(*(engine.generate(each) for each in asked), return_exceptions=True)
        assert isinstance(found[3], GenerationError)
        beams = [each for each in found if isinstance(each, Generation)]
        assert [each.request_id for each in beams] == ["b0", "b1", "b2"]
        assert len({each.token_ids for each in beams}) == 3

    run(test, engine_of(student, max_batch=4))
    assert batches == [4, 1, 1, 1, 1]


def test_who_gave_up_while_waiting_is_not_generated_for(student: BuildStudent, batches: list[int]) -> None:
    async def test(engine: StudentEngine) -> None:
        running = [asyncio.create_task(engine.generate(request(seed=i, max_tokens=2))) for i in range(5)]
        await asyncio.sleep(0.01)
        running[0].cancel()
        running[3].cancel()
        await asyncio.wait(running)

    run(test, engine_of(student, max_batch=8, wait_ms=100.0))
    assert batches == [3]


@pytest.mark.parametrize("steps", range(6))
def test_an_end_that_comes_with_a_request_is_not_swallowed(student: BuildStudent, steps: int) -> None:
    async def test(engine: StudentEngine) -> None:
        asking = [asyncio.create_task(engine.generate(request(seed=0, max_tokens=2)))]
        await asyncio.sleep(0.01)  # the engine waits for one more
        asking.append(asyncio.create_task(engine.generate(request(seed=1, max_tokens=2))))
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await engine.close()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, GenerationError) for each in found)

    run(test, engine_of(student, max_batch=8, wait_ms=60_000.0))


def test_an_adapter_waits_for_the_batch_that_is_running_and_is_verified_beside_it(
    student: BuildStudent, adapters: list[AdapterRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    begun, checked = threading.Event(), threading.Event()

    def watch(of: type, name: str, around: Callable[[], None] = lambda: None) -> None:
        real = getattr(of, name)

        def watched(self: Any, *args: Any, **options: Any) -> Any:
            order.append(name)
            around()
            answer = real(self, *args, **options)
            order.append(f"{name} done")
            return answer

        monkeypatch.setattr(of, name, watched)

    def generate_until_checked() -> None:
        begun.set()
        assert checked.wait(20)

    watch(BatchGenerator, "generate", generate_until_checked)
    watch(AdapterSlots, "missing", checked.set)
    watch(AdapterSlots, "load")

    async def test(engine: StudentEngine) -> None:
        running = asyncio.create_task(engine.generate(request(max_tokens=60)))
        await asyncio.to_thread(begun.wait)
        await engine.load(adapters[0])
        later = await engine.generate(request(adapter=1, max_tokens=2))
        assert ((await running).adapter_version, later.adapter_version) == (0, 1)

    run(test, engine_of(student, max_batch=4, wait_ms=0.0))
    assert order[:2] == ["generate", "missing"]
    assert order.index("generate done") < order.index("load") < order.index("load done")
    assert order[-2:] == ["generate", "generate done"]
