import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import AdapterError, GenerationError, StudentLostError
from openmic.core.records import AdapterRef, Generation
from openmic.core.student_settings import StudentSettings
from openmic.training.pool.pool import StudentPool

from ...waiting import until
from .cheap_engine import asked, cheap, notes, writers

pytestmark = pytest.mark.usefixtures("ray_running")


@asynccontextmanager
async def pool_of(
    diary: Path,
    *,
    seconds: float = 0.01,
    restart_s: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[StudentPool]:
    """A pool whose students all serve."""
    values = {"actors": 2, "cpus_per_actor": 0.0} | settings
    pool = StudentPool(
        StudentSettings.model_validate({"pool": values}),
        threads=1,
        build=cheap(diary, seconds, restart_s),
        tick_s=0.05,
        tell=tell,
    )
    try:
        await pool.ready(int(values["actors"]))
        yield pool
    finally:
        pool.close()


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


def test_requests_are_spread_over_the_students(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary) as pool:
            found = await asyncio.gather(*(pool.generate(asked(f"r{i}")) for i in range(40)))
            assert [each.request_id for each in found] == [f"r{i}" for i in range(40)]
            assert sorted(Counter(each.worker for each in found).values()) == [20, 20]
            await asyncio.sleep(0.1)
            assert pool.stats().in_flight == pool.stats().waiting == 0
            assert pool.stats().promoted_version == 0
            assert "2 of 2 students, 0 in flight, " in str(pool.stats())
            assert str(pool.stats()).endswith("adapter v0")

    asyncio.run(scenario())


def test_what_a_student_s_process_warns_of_is_told_here(diary: Path) -> None:
    told: list[str] = []

    async def scenario() -> None:
        async with pool_of(diary, actors=1, tell=told.append) as pool:
            for request in ("warns once", "warns twice"):
                await pool.generate(asked(request))
            await until(lambda: len(told) == 2)

    asyncio.run(scenario())
    assert told == ["student 0: asked for warns once", "student 0: asked for warns twice"]


def test_a_student_killed_in_the_middle_costs_no_answer_and_returns_with_its_adapters(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary) as pool:
            await pool.load_adapter(AdapterRef(1, "one"))
            pool.promote(1)
            await pool.load_adapter(AdapterRef(2, "two"))
            running = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 0.3, adapter=1))) for i in range(20)]
            await until(lambda: pool.stats().in_flight == 20)
            victim = int((await pool.generate(asked("who", 0.0))).worker.removeprefix("pid-"))
            os.kill(victim, signal.SIGKILL)
            found = await asyncio.gather(*running)
            assert Counter(each.request_id for each in found) == Counter(f"r{i}" for i in range(20))
            assert {each.adapter_version for each in found} == {1}
            answered = Counter(notes(diary, "answered r"))
            assert answered == Counter(f"answered r{i} v1" for i in range(20))
            await until(lambda: pool.stats().serving == 2)
            [newcomer] = set(writers(diary, "started")) - {victim, *writers(diary, "answered r")}
            again = await asyncio.gather(*(pool.generate(asked(f"s{i}", 0.1, adapter=1 + i % 2)) for i in range(4)))
            assert [each.adapter_version for each in again] == [1, 2, 1, 2]
            assert f"pid-{newcomer}" in {each.worker for each in again}
            assert notes(diary, "", of=newcomer)[:5] == ["started", "loads 2", "loaded 2", "loads 1", "loaded 1"]

    asyncio.run(scenario())


def test_a_student_that_died_while_nobody_looked_is_not_given_work_before_its_adapter(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1) as pool:
            await pool.load_adapter(AdapterRef(3, "three"))
            [pid] = writers(diary, "started")
            os.kill(pid, signal.SIGKILL)
            await until(lambda: len(writers(diary, "started")) == 2)
            assert (await pool.generate(asked("r", adapter=3))).adapter_version == 3
            assert notes(diary, "answered") == ["answered r v3"]

    asyncio.run(scenario())


def test_a_request_that_kills_every_student_is_given_up_and_the_others_are_answered(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, max_retries=1) as pool:
            with pytest.raises(GenerationError, match="'poison' was sent 2 times and each time its student died"):
                await pool.generate(asked("poison"))
            assert (await pool.generate(asked("r"))).request_id == "r"

    asyncio.run(scenario())


def test_an_adapter_reaches_one_student_after_the_other_while_they_answer(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=3, seconds=0.02) as pool:
            answers: list[Generation] = []
            there = asyncio.Event()

            async def ask() -> None:
                while not there.is_set():
                    answers.append(await pool.generate(asked(f"r{len(answers)}")))

            asking = asyncio.ensure_future(ask())
            await pool.load_adapter(AdapterRef(1, "one"))
            there.set()
            after = await asyncio.gather(*(pool.generate(asked(f"after{i}", adapter=1)) for i in range(6)))
            await asking
            assert {each.adapter_version for each in after} == {1}
            assert len(answers) > 1
            kinds = [what.split()[0] for what in notes(diary, "") if not what.startswith(("answered", "started"))]
            assert kinds == ["loads", "loaded"] * 3
            assert len(set(writers(diary, "loaded"))) == 3
            assert pool.stats().swap_pauses == ((0.02,),) * 3


def test_the_promoted_version_is_never_dropped_however_many_others_come(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1) as pool:
            for version in range(1, 6):
                await pool.load_adapter(AdapterRef(version, "some"))
                if version == 1:
                    pool.promote(1)
            assert notes(diary, "drops") == ["drops 2", "drops 3"]
            assert (await pool.generate(asked("r", adapter=1))).adapter_version == 1
            assert pool.stats().promoted_version == 1

    asyncio.run(scenario())


def test_a_restarted_student_is_given_the_adapters_that_were_asked_for_last(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1) as pool:
            for version in range(1, 5):
                await pool.load_adapter(AdapterRef(version, "some"))
            pool.promote(3)
            await pool.generate(asked("an old dialogue goes on", adapter=2))
            [pid] = writers(diary, "started")
            os.kill(pid, signal.SIGKILL)
            await until(lambda: len(writers(diary, "started")) == 2)
            await pool.generate(asked("and on", adapter=2))
            [newcomer] = set(writers(diary, "started")) - {pid}
            assert notes(diary, "loaded", of=newcomer) == ["loaded 4", "loaded 2", "loaded 3"]

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["broken", "broken for all but one"])
def test_a_broken_adapter_leaves_the_old_one_serving_everywhere(diary: Path, kind: str) -> None:
    async def scenario() -> None:
        async with pool_of(diary) as pool:
            await pool.load_adapter(AdapterRef(1, "one"))
            with pytest.raises(AdapterError):
                await pool.load_adapter(AdapterRef(2, kind))
            found = await asyncio.gather(*(pool.generate(asked(f"r{i}", adapter=1)) for i in range(8)))
            assert Counter((each.adapter_version) for each in found) == {1: 8}
            assert len({each.worker for each in found}) == 2

    asyncio.run(scenario())


def test_beyond_what_students_may_hold_callers_wait_and_nobody_is_refused(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, max_in_flight=3) as pool:
            running = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 0.05))) for i in range(30)]
            await until(lambda: pool.stats().in_flight == 6)
            assert pool.stats().waiting == 24
            found = await asyncio.gather(*running)
            assert [each.request_id for each in found] == [f"r{i}" for i in range(30)]
            first = notes(diary, "answered")[:6]
            assert sorted(first) == [f"answered r{i} v0" for i in range(6)]

    asyncio.run(scenario())


def test_who_gives_up_makes_room_for_the_others(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1, max_in_flight=2) as pool:
            endless = [asyncio.ensure_future(pool.generate(asked(f"e{i}", 600))) for i in range(4)]
            await until(lambda: pool.stats().in_flight == 2)
            later = asyncio.ensure_future(pool.generate(asked("later", 0)))
            await asyncio.sleep(0.05)
            for one in endless:
                one.cancel()
            assert (await asyncio.wait_for(later, 20)).request_id == "later"
            assert pool.stats().in_flight == pool.stats().waiting == 0

    asyncio.run(scenario())


def test_one_id_in_flight_twice_is_answered_once_for_both(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary) as pool:
            found = await asyncio.gather(*(pool.generate(asked("same", 0.1)) for _ in range(5)))
            assert len(set(map(id, found))) == 1
            assert notes(diary, "answered") == ["answered same v0"]

    asyncio.run(scenario())


def test_the_pool_grows_while_much_is_waiting_and_shrinks_without_losing_an_answer(diary: Path) -> None:
    settings: dict[str, Any] = {
        "actors": 1,
        "min_actors": 1,
        "max_actors": 2,
        "scale_up_above": 4.0,
        "scale_up_after_s": 0.1,
        "scale_down_below": 3.0,
        "scale_down_after_s": 1.0,  # longer than it takes to ask again, on a busy machine too
    }

    async def scenario() -> None:
        async with pool_of(diary, **settings) as pool:
            await pool.load_adapter(AdapterRef(1, "one"))
            load = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 0.2, adapter=1))) for i in range(10)]
            number = len(load)
            while pool.stats().serving < 2:
                await asyncio.wait(load, return_when=asyncio.FIRST_COMPLETED)
                finished = [one for one in load if one.done()]
                load = [one for one in load if not one.done()]
                for one in finished:
                    assert one.result().adapter_version == 1
                    number += 1
                    load.append(asyncio.ensure_future(pool.generate(asked(f"r{number}", 0.2, adapter=1))))
            assert pool.stats().actors == 2
            await asyncio.gather(*load)
            # Two long requests, one on each: little enough to let one student go, once it has answered.
            long = [asyncio.ensure_future(pool.generate(asked(f"long{i}", 4.0))) for i in range(2)]
            await until(lambda: pool.stats().serving == 1)
            assert pool.stats().actors == 2
            found = await asyncio.gather(*long)
            assert len({each.worker for each in found}) == 2
            await until(lambda: pool.stats().actors == 1)
            assert (await pool.generate(asked("after", adapter=1))).adapter_version == 1

    asyncio.run(scenario())


def test_requests_do_not_wait_for_ever_for_a_student_that_does_not_come_back(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1, restart_s=3.0, restart_timeout_s=0.1) as pool:
            [pid] = writers(diary, "started")
            os.kill(pid, signal.SIGKILL)
            await until(lambda: pool.stats().serving == 0)
            with pytest.raises(StudentLostError, match=r"no student came back within 0.1 s.*restart_timeout_s"):
                await pool.generate(asked("r", 5))
            await until(lambda: pool.stats().serving == 1)
            assert (await pool.generate(asked("later"))).request_id == "later"

    asyncio.run(scenario())


def test_a_closed_pool_says_so_to_those_that_wait_and_those_that_come(diary: Path) -> None:
    async def scenario() -> None:
        async with pool_of(diary, actors=1, max_in_flight=1, max_retries=0) as pool:
            running = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 600))) for i in range(2)]
            await until(lambda: pool.stats().waiting == 1)
            pool.close()
            for one in running:
                with pytest.raises(StudentLostError, match="pool of students is closed"):
                    await one
            with pytest.raises(StudentLostError, match="pool of students is closed"):
                await pool.generate(asked("late"))

    asyncio.run(scenario())
