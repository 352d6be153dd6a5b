"""A pool of one real student; what concerns several is tested with cheap ones in test_pool_of_many."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from openmic.core.errors import AdapterError, GenerationError, StudentLostError
from openmic.core.records import AdapterRef, Generation
from openmic.core.student_settings import StudentSettings
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.pool.pool import StudentPool
from openmic.training.student.fingerprint import ANY_FILES, KnownFiles

from ..conftest import BuildStudent
from ..factories import TEXTS, request

pytestmark = pytest.mark.usefixtures("ray_running")
Run = Callable[[Coroutine[Any, Any, None]], None]


TOLD: list[str] = []


def settings_of(folder: Path, **changes: Any) -> StudentSettings:
    return StudentSettings(model=str(folder), device="cpu", engine="static", max_batch=8, **changes)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs scenarios in one event loop, since a pool belongs to a loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def shared(tiny_causal: Path, ray_running: None, run: Run) -> Iterator[StudentPool]:
    pool = StudentPool(settings_of(tiny_causal), threads=1, tell=TOLD.append)
    yield pool
    pool.close()


def test_callers_at_once_get_what_each_would_get_alone(shared: StudentPool, run: Run, student: BuildStudent) -> None:
    asked = [request(TEXTS[i % 4], seed=i, max_tokens=5 + i, id=f"r{i}") for i in range(20)]
    expected = BatchGenerator(student("llama"), max_batch=1).generate(asked)

    async def scenario() -> None:
        found = await asyncio.gather(*(shared.generate(each) for each in asked))
        assert [generation.request_id for generation in found] == [each.id for each in asked]
        assert [generation.token_ids for generation in found] == [each.token_ids for each in expected]
        [worker] = {generation.worker for generation in found}
        host, _, pid = worker.rpartition("/pid-")
        assert host == gethostname()
        assert int(pid) not in {os.getpid(), 0}
        assert all(generation.queue_ms >= 0 for generation in found)

    run(scenario())


def test_an_adapter_is_loaded_while_others_generate(
    shared: StudentPool, run: Run, student: BuildStudent, adapters: list[AdapterRef]
) -> None:
    asked = [request(TEXTS[i % 4], seed=i, max_tokens=20, id=f"r{i}") for i in range(40)]
    adapted = [replace(each, id=f"a{each.id}", adapter=1) for each in asked]
    engine = BatchGenerator(student("llama"), max_batch=8)
    engine.load(adapters[0])
    expected = engine.generate([*asked, *adapted])

    async def scenario() -> None:
        running = [asyncio.ensure_future(shared.generate(each)) for each in asked]
        await running[0]
        await shared.load_adapter(adapters[0])
        running += [asyncio.ensure_future(shared.generate(each)) for each in adapted]
        found = await asyncio.gather(*running)
        assert [each.adapter_version for each in found] == [0] * 40 + [1] * 40
        assert [each.token_ids for each in found] == [each.token_ids for each in expected]

    run(scenario())


def test_errors_come_through_as_they_were_raised_and_the_student_goes_on(
    shared: StudentPool, run: Run, student: BuildStudent, adapters: list[AdapterRef], misfit: AdapterRef, tmp_path: Path
) -> None:
    altered = commit_adapter(random_adapter(student("llama").model, "causal", seed=5), tmp_path, 5, {"parent": 0})
    Path(str(altered.uri), "adapter_model.safetensors").write_bytes(b"")

    async def scenario() -> None:
        await shared.load_adapter(adapters[0])
        with pytest.raises(AdapterError, match="was altered"):
            await shared.load_adapter(altered)
        with pytest.raises(AdapterError, match="adapter version 9 does not load"):
            await shared.load_adapter(misfit)
        with pytest.raises(
            StudentLostError, match=r"adapter version 7 is not loaded.*a plain request is not answered either"
        ):
            await shared.generate(request(adapter=7))
        assert (await shared.generate(request(adapter=1))).adapter_version == 1

    run(scenario())


def test_one_request_that_cannot_be_answered_does_not_fail_its_neighbours(shared: StudentPool, run: Run) -> None:
    asked = [request(seed=i, max_tokens=100_000 if i == 2 else 8, id=f"r{i}") for i in range(5)]

    async def scenario() -> None:
        found = await asyncio.gather(*(shared.generate(each) for each in asked), return_exceptions=True)
        assert isinstance(found[2], GenerationError), "its own fault, as others are answered"
        assert [getattr(each, "request_id", None) for each in found] == ["r0", "r1", None, "r3", "r4"]

    run(scenario())


def test_a_caller_that_gives_up_does_not_disturb_the_others(shared: StudentPool, run: Run) -> None:
    async def scenario() -> None:
        running = [asyncio.ensure_future(shared.generate(request(seed=i, max_tokens=30, id=f"r{i}"))) for i in range(6)]
        await asyncio.sleep(0)
        running[3].cancel()
        found = await asyncio.gather(*running, return_exceptions=True)
        assert isinstance(found[3], asyncio.CancelledError)
        assert sum(not isinstance(each, BaseException) for each in found) == 5
        assert (await shared.generate(request())).adapter_version == 0

    run(scenario())


def test_a_student_answers_with_each_adapter_it_is_given_until_the_pool_is_closed(
    tiny_causal: Path, adapters: list[AdapterRef]
) -> None:
    async def scenario() -> None:
        pool = StudentPool(settings_of(tiny_causal), threads=1)
        for ref in adapters[:2]:
            await pool.load_adapter(ref)
        asked = (request(seed=3, adapter=version, id=f"v{version}") for version in (0, 1, 2))
        found = await asyncio.gather(*(pool.generate(each) for each in asked))
        assert [generation.adapter_version for generation in found] == [0, 1, 2]
        assert len({generation.token_ids for generation in found}) == 3
        pool.close()
        with pytest.raises(StudentLostError, match="pool of students is closed"):
            await pool.generate(request())

    asyncio.run(scenario())


def test_a_student_that_cannot_be_loaded_says_why(tmp_path: Path, tiny_causal: Path) -> None:
    async def scenario() -> None:
        others = KnownFiles("RUN1", {"model.safetensors": "another"})
        for folder, known, why in (
            (tmp_path / "nowhere", ANY_FILES, r"nowhere.* is not a folder"),
            (tiny_causal, others, r"not those that run RUN1 began with: chat_template.jinja is new, config"),
        ):
            pool = StudentPool(settings_of(folder), threads=1, known=known)
            with pytest.raises(StudentLostError, match=why):
                await pool.ready()
            pool.close()

    asyncio.run(scenario())


def test_smaller_batches_for_want_of_memory_are_told_once(shared: StudentPool) -> None:
    for limit in (None, 8, 4, 4, 2, 4):
        shared._look_at(Generation("r", "", (), 1, 0, "stop", 0.0, 0.0, "w", limit))
    assert [line.partition(":")[2] for line in TOLD] == [
        f" it goes on with {limit} texts at a time (student.max_batch), which changes nothing but rounding"
        for limit in (4, 2)
    ]
