"""Students that come back: from a lost connection, from adapters that cannot be read, from a start that fails."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.training.pool.remote import ActorLostError
from openmic.training.pool.replica import Replica

from ...waiting import until
from .cheap_engine import asked, forbid_starting, notes, writers
from .test_pool_of_many import pool_of

pytestmark = pytest.mark.usefixtures("ray_running")


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


def kill(diary: Path) -> int:
    """Kill the student that was started first; returns its process."""
    [first, *_] = writers(diary, "started")
    os.kill(first, signal.SIGKILL)
    return first


def test_a_student_whose_connection_broke_serves_again_although_its_process_never_ended(
    diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Replica.generate
    broken: list[Any] = []

    async def generate(self: Replica, request: GenerationRequest) -> Generation:
        if request.id == "unlucky" and not broken:
            broken.append(self)
            raise ActorLostError("the connection was closed", for_good=False)
        return await send(self, request)

    monkeypatch.setattr(Replica, "generate", generate)

    async def scenario() -> None:
        async with pool_of(diary) as pool:
            await pool.load_adapter(AdapterRef(1, "one"))
            answer = await pool.generate(asked("unlucky", adapter=1))
            assert answer.adapter_version == 1
            assert len(broken) == 1
            await until(lambda: pool.stats().serving == 2)
            found = await asyncio.gather(*(pool.generate(asked(f"r{i}", 0.1)) for i in range(4)))
            assert len({each.worker for each in found}) == 2
            assert len(notes(diary, "started")) == 2

    asyncio.run(scenario())


def test_a_student_that_cannot_read_its_adapter_for_a_while_comes_back_when_it_can(diary: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    storage.touch()

    async def scenario() -> None:
        async with pool_of(diary, actors=1) as pool:
            await pool.load_adapter(AdapterRef(1, f"needs {storage}"))
            pool.promote(1)
            storage.unlink()
            victim = kill(diary)
            await until(lambda: bool(set(writers(diary, "fails 1")) - {victim}))
            waiting = asyncio.ensure_future(pool.generate(asked("r", adapter=1)))
            assert pool.stats().serving == 0
            storage.touch()
            assert (await asyncio.wait_for(waiting, 60)).adapter_version == 1

    asyncio.run(scenario())


def test_a_student_that_cannot_be_started_again_at_once_is_tried_until_it_can(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1) as pool:
            await pool.load_adapter(AdapterRef(1, "one"))
            allow = forbid_starting(diary)
            kill(diary)
            waiting = asyncio.ensure_future(pool.generate(asked("r", adapter=1)))
            await until(lambda: len(notes(diary, "could not start")) >= 2)
            assert not waiting.done()
            allow()
            assert (await asyncio.wait_for(waiting, 60)).adapter_version == 1
            assert pool.stats().actors == 1

    asyncio.run(scenario())


def test_a_student_that_takes_long_to_catch_up_holds_up_no_other_adapter_and_misses_none(
    diary: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    slow.touch()

    async def scenario() -> None:
        async with pool_of(diary) as pool:
            await pool.load_adapter(AdapterRef(1, f"waits for {slow}"))
            slow.unlink()
            victim = kill(diary)
            await until(lambda: len(set(writers(diary, "loads 1"))) == 3)
            await asyncio.wait_for(pool.load_adapter(AdapterRef(2, "two")), 60)
            assert pool.stats().serving == 1
            assert (await pool.generate(asked("r", adapter=2))).adapter_version == 2
            slow.touch()
            await until(lambda: pool.stats().serving == 2)
            [newcomer] = set(writers(diary, "loads 1")) - {victim, *writers(diary, "answered")}
            assert notes(diary, "loaded", of=newcomer) == ["loaded 1", "loaded 2"]
            found = await asyncio.gather(*(pool.generate(asked(f"s{i}", 0.1, adapter=2)) for i in range(4)))
            assert f"pid-{newcomer}" in {each.worker for each in found}

    asyncio.run(scenario())


def test_a_pool_that_shrinks_lets_go_of_a_student_that_does_not_come_back_first(diary: Path) -> None:
    shrinking: dict[str, Any] = {
        "min_actors": 1,
        "scale_up_above": 4.0,
        "scale_down_below": 3.0,
        "scale_down_after_s": 0.5,
    }

    async def scenario() -> None:
        async with pool_of(diary, **shrinking) as pool:
            forbid_starting(diary)
            load = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 2.0))) for i in range(7)]
            await until(lambda: pool.stats().in_flight == 7)
            kill(diary)
            await until(lambda: pool.stats().serving == 1)
            await asyncio.gather(*load)
            await until(lambda: pool.stats().actors == 1)
            assert pool.stats().serving == 1
            assert (await pool.generate(asked("after"))).request_id == "after"

    asyncio.run(scenario())
