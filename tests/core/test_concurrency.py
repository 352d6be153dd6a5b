import asyncio

import pytest

from openmic.core.concurrency import bounded
from openmic.core.errors import EndpointError


def test_everything_is_done_once_in_order_and_never_more_at_a_time_than_the_limit() -> None:
    begun: list[int] = []
    now, most = 0, 0

    async def work(item: int) -> None:
        nonlocal now, most
        begun.append(item)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001 * (item % 3))
        now -= 1

    asyncio.run(bounded(work, range(20), 4))
    assert begun == list(range(20))
    assert most == 4


def test_the_first_error_is_raised_as_it_is_and_ends_the_rest() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 1:
            raise EndpointError("gone")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append(item)
            raise

    with pytest.raises(EndpointError, match="gone"):
        asyncio.run(bounded(work, range(9), 3))
    assert set(ended) <= {0, 2}
    assert 0 in ended


def test_cancelling_from_outside_stays_a_cancellation() -> None:
    async def work(_: int) -> None:
        await asyncio.sleep(30)

    async def perform() -> None:
        task = asyncio.create_task(bounded(work, range(3), 2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(perform())


def test_no_items_are_no_work() -> None:
    async def work(_: int) -> None:
        raise AssertionError

    asyncio.run(bounded(work, [], 3))
