"""The Ray actor that holds dialogues: an event loop and clients of its own, in a process of its own.

It decides nothing. The driver hands it one dialogue after another, has its writes (of a SQLite store; a PostgreSQL
store takes them from each), asks the student for it, and counts what it took of the budget. It imports nothing heavy
before it is opened, so that the driver need not.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from ..context.replies.reply_cache import Late
from .messages import Answer, Ended, Hold, News, Order, Setup, Trouble, as_sent
from .outbox import Outbox

if TYPE_CHECKING:
    from .opening import Opened

LOOK_S = 1.0
"""How often it is looked what calls to endpoints wait for."""
_SETTLE_S = 1.0
"""How long an end waits for the last writes to be acknowledged."""


class DialogueWorker:
    """One worker in its own process. `graph.workers.workers` is the driver's end of it."""

    def __init__(self) -> None:
        self._outbox = Outbox()
        self._stack = AsyncExitStack()
        self._holding = set[asyncio.Task[None]]()
        self._opened: Opened | None = None
        self._round: int | None = None

    async def open(self, setup: Setup) -> None:
        """Get ready to hold dialogues of a run.

        Raises:
            OpenmicError: an endpoint, the store or a Python object cannot be had.
        """
        from .opening import open_worker

        self._opened = await self._stack.enter_async_context(open_worker(setup, self._outbox))
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def news(self) -> list[News]:
        """What there is for the driver; waits until there is something."""
        return await self._outbox.taken()

    async def tell(self, orders: Sequence[Order]) -> None:
        """Take what the driver has to say."""
        assert self._opened is not None
        for order in orders:
            if isinstance(order, Answer):
                self._outbox.answer(order)
            elif isinstance(order, Hold):
                task = asyncio.get_running_loop().create_task(self._hold(self._opened, order))
                self._holding.add(task)
                task.add_done_callback(self._holding.discard)
            else:
                self._opened.allowance.spend(order.error)

    async def drain(self) -> Late:
        """Begin nothing more, and wait for what was sent, so that it is stored; tells what came to nothing."""
        for task in self._holding:
            task.cancel()
        if self._opened is None:
            return Late(0, 0)
        late = await self._opened.context.llm.drain()
        await self._outbox.settled(_SETTLE_S)
        self._looking.cancel()
        await self._stack.aclose()
        return late

    async def _hold(self, opened: "Opened", order: Hold) -> None:
        from .opening import hold_one

        error: Exception | None = None
        try:
            if order.again or order.round_number != self._round:
                opened.context.llm.look_again()
                self._round = order.round_number
            await hold_one(opened.context, order)
        except Exception as failure:
            error = as_sent(failure)
        self._outbox.put(Ended(order.dialogue_id, error))

    async def _look(self) -> None:
        """Tell of what calls to endpoints wait for, whenever that changes."""
        assert self._opened is not None
        told = ""
        while True:
            await asyncio.sleep(LOOK_S)
            if (line := self._opened.context.llm.trouble()) != told:
                told = line
                self._outbox.put(Trouble(line))
