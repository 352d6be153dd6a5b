"""A worker's end: news that the driver has not fetched yet, and who waits for an answer to them."""

import asyncio
from collections.abc import Callable
from typing import Any

from ...core.errors import BudgetError
from ...core.records import Generation, GenerationRequest, TokenUsage
from ...store.writes import Write
from ..context.progress import Silent
from ..context.seats import Seat
from .messages import Answer, Asked, Kept, News, Told, Took

GATHER_S = 0.002
"""How long news wait for others to go with them: a call costs more than what it carries."""


class Outbox:
    """News for the driver, in their order. Use from one event loop."""

    def __init__(self) -> None:
        self._news: list[News] = []
        self._some = asyncio.Event()
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}

    def put(self, news: News) -> None:
        """Tell the driver something."""
        self._news.append(news)
        self._some.set()

    async def taken(self) -> list[News]:
        """What there is to tell; waits until there is something."""
        await self._some.wait()
        await asyncio.sleep(GATHER_S)
        news, self._news = self._news, []
        self._some.clear()
        return news

    def keep(self, write: Write) -> "asyncio.Future[None]":
        """Hand a write to the driver; done once it is committed."""
        number, future = self._asking()
        self.put(Kept(number, write))
        return future

    async def generate(self, request: GenerationRequest) -> Generation:
        """The student's answer, by way of the driver.

        Raises:
            GenerationError: the student could not answer.
        """
        number, future = self._asking()
        self.put(Asked(number, request))
        found: Generation = await future
        return found

    def answer(self, answer: Answer) -> None:
        """Give an answer to whoever waits for it."""
        future = self._answers.pop(answer.number)
        if future.cancelled():
            return
        if answer.error is None:
            future.set_result(answer.value)
        else:
            future.set_exception(answer.error)

    async def settled(self, seconds: float) -> None:
        """Wait until the driver has acknowledged all writes, for so long."""
        waiting = [future for future in self._answers.values() if not future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    def _asking(self) -> tuple[int, "asyncio.Future[Any]"]:
        self._number += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)
        self._answers[self._number] = future
        return self._number, future


class ToldProgress(Silent):
    """Progress whose lines are the driver's to show."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def print(self, text: str) -> None:
        """Have the driver show a line."""
        self._outbox.put(Told(text))


class ToldAllowance:
    """The driver's budget, as a worker knows it: what is spent is heard of a moment late."""

    def __init__(self, outbox: Outbox, spent: BudgetError | None) -> None:
        self._outbox, self._spent = outbox, spent
        self._when_spent: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raise BudgetError where nothing more may be asked."""
        if self._spent is not None:
            raise self._spent

    def take(self, seat: Seat, usage: TokenUsage) -> None:
        """Have the driver count a reply."""
        self._outbox.put(Took(seat, usage))

    def when_spent(self, act: Callable[[], None]) -> None:
        """Have something done when nothing more may be asked."""
        self._when_spent.append(act)

    def spend(self, error: BudgetError) -> None:
        """Nothing more may be asked."""
        self._spent = error
        for act in self._when_spent:
            act()


def _look_at(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # whoever asked may be gone
