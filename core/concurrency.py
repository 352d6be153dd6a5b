"""Many things at once, but not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def bounded(work: Callable[[T], Awaitable[None]], items: Iterable[T], limit: int) -> None:
    """Do `work` on every item, at most `limit` at a time, in the items' order.

    The first exception cancels the rest and is raised.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
