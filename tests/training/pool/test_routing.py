import asyncio
from dataclasses import dataclass

import pytest

from openmic.core.errors import GenerationError
from openmic.training.pool.routing import Router


@dataclass(eq=False)
class Place:
    serving: bool = True
    in_flight: int = 0

    def take(self) -> None:
        self.in_flight += 1

    def give_back(self) -> None:
        self.in_flight -= 1


def test_the_least_loaded_of_those_that_serve_is_next() -> None:
    async def scenario() -> None:
        places = [Place(in_flight=2), Place(in_flight=1), Place(serving=False), Place(in_flight=3)]
        router = Router(places, limit=4)
        assert await router.acquire() is places[1]
        for _ in range(2):
            assert await router.acquire() in places[:2]
        assert [place.in_flight for place in places] == [3, 3, 0, 3]

    asyncio.run(scenario())


def test_idle_places_take_turns() -> None:
    async def scenario() -> None:
        places = [Place() for _ in range(3)]
        router = Router(places, limit=1)
        seen = []
        for _ in range(6):
            seen.append(await router.acquire())
            router.release(seen[-1])
        assert seen == [*places, *places]

    asyncio.run(scenario())


def test_where_all_are_full_callers_are_served_in_the_order_they_came() -> None:
    async def scenario() -> None:
        place, order = Place(), []
        router = Router([place], limit=1)

        async def caller(name: int) -> None:
            got = await router.acquire()
            order.append(name)
            await asyncio.sleep(0)
            router.release(got)

        await asyncio.gather(*(caller(name) for name in range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert router.waiting == place.in_flight == 0

    asyncio.run(scenario())


def test_who_gives_up_in_the_queue_is_passed_over() -> None:
    async def scenario() -> None:
        place = Place()
        router = Router([place], limit=1)
        held = await router.acquire()
        first, second = (asyncio.ensure_future(router.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        assert router.waiting == 2
        first.cancel()
        router.release(held)
        assert await second is place
        assert place.in_flight == 1

    asyncio.run(scenario())


def test_a_place_that_comes_in_the_moment_of_giving_up_goes_to_the_next() -> None:
    async def scenario() -> None:
        place = Place()
        router = Router([place], limit=1)
        held = await router.acquire()
        first, second = (asyncio.ensure_future(router.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        router.release(held)  # the first has the place and does not know it yet
        first.cancel()
        assert await asyncio.wait_for(second, 5) is place
        assert place.in_flight == 1

    asyncio.run(scenario())


def test_callers_wait_for_a_place_that_serves_and_hear_when_there_will_be_none() -> None:
    async def scenario() -> None:
        place = Place(serving=False)
        router = Router([place], limit=1)
        waiting, watching = asyncio.ensure_future(router.acquire()), asyncio.ensure_future(router.until_serving())
        await asyncio.sleep(0)
        router.wake()
        assert not waiting.done()
        place.serving = True
        router.wake()
        await asyncio.gather(waiting, watching)
        await router.until_serving()

        late = asyncio.ensure_future(router.acquire())
        await asyncio.sleep(0)
        router.fail(GenerationError("not now"), for_good=False)
        with pytest.raises(GenerationError, match="not now"):
            await late
        router.release(place)
        assert await router.acquire() is place
        router.fail(GenerationError("never again"), for_good=True)
        for asking in (router.acquire(), router.until_serving()):
            with pytest.raises(GenerationError, match="never again"):
                await asking

    asyncio.run(scenario())
