import asyncio

import pytest

from openmic.core.errors import GenerationError
from openmic.core.records import Generation, GenerationRequest
from openmic.training.pool.single_flight import SingleFlight

from ..factories import request


class Answering:
    """Answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, one: GenerationRequest) -> Generation:
        self.asked.append(one.id)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.given_up.append(one.id)
            raise
        if self.failure is not None:
            raise self.failure
        return Generation(one.id, "", (), 1, 0, "stop", 0.0, 0.0, "w")


def test_an_id_is_answered_once_for_all_that_wait_for_it_and_anew_for_who_comes_later() -> None:
    async def scenario() -> None:
        answering = Answering()
        asked = SingleFlight(answering)
        waiting = [asyncio.ensure_future(asked.ask(request(id=name))) for name in "aab"]
        await asyncio.sleep(0.01)
        answering.go_on.set()
        assert [(await one).request_id for one in waiting] == ["a", "a", "b"]
        assert answering.asked == ["a", "b"]
        await asked.ask(request(id="a"))
        assert answering.asked == ["a", "b", "a"]

    asyncio.run(scenario())


def test_who_gives_up_takes_nothing_from_the_others_and_the_last_one_ends_the_work() -> None:
    async def scenario() -> None:
        answering = Answering()
        asked = SingleFlight(answering)
        first, second, lone = (asyncio.ensure_future(asked.ask(request(id=name))) for name in "aab")
        await asyncio.sleep(0.01)
        first.cancel()
        lone.cancel()
        await asyncio.sleep(0.01)
        assert answering.given_up == ["b"]
        answering.go_on.set()
        assert (await second).request_id == "a"

    asyncio.run(scenario())


def test_a_failure_is_everybody_s_and_is_not_kept() -> None:
    async def scenario() -> None:
        answering = Answering()
        asked = SingleFlight(answering)
        answering.failure = GenerationError("no answer")
        answering.go_on.set()
        found = await asyncio.gather(*(asked.ask(request()) for _ in range(3)), return_exceptions=True)
        assert [str(each) for each in found] == ["no answer"] * 3
        answering.failure = None
        assert (await asked.ask(request())).request_id == "r"

    asyncio.run(scenario())


def test_two_requests_cannot_have_one_id_at_once() -> None:
    async def scenario() -> None:
        answering = Answering()
        asked = SingleFlight(answering)
        first = asyncio.ensure_future(asked.ask(request(seed=1)))
        await asyncio.sleep(0)
        with pytest.raises(GenerationError, match="two different requests are called 'r'"):
            await asked.ask(request(seed=2))
        answering.go_on.set()
        await first

    asyncio.run(scenario())
