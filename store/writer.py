"""One thread that writes: what waits goes into one transaction, and is acknowledged once that is over.

What was handed in earlier is written no later: once a write is acknowledged, so is everything that came before it, or
it has failed. Not for how a store is waited for, or what is done on a full disk: the store carries the writes out.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from .writes import Write

MOST = 256
"""Writes in one transaction, so that whoever waits for the first does not wait too long."""
Outcome = Exception | None
"""Why a write was not done; None where it was."""
_Waiting = tuple[Write, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Writer:
    """The thread, and what waits for it.

    Args:
        carry_out: Does writes in their order; says of each what came of it.
    """

    def __init__(self, carry_out: Callable[[Sequence[Write]], Sequence[Outcome]]) -> None:
        self._carry_out = carry_out
        self._waiting = SimpleQueue[_Waiting | None]()
        self._thread = Thread(target=self._work, name="openmic-store", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> "asyncio.Future[None]":
        """Hand a write in, from an event loop. It is written though nobody waits for it.

        Done once it is committed; raises what prevented that.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.put((write, loop, future))
        return future

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        ended = False
        while not ended:
            taken = [self._waiting.get()]
            with suppress(Empty):
                while len(taken) < MOST:
                    taken.append(self._waiting.get_nowait())
            batch = [one for one in taken if one is not None]
            ended = len(batch) < len(taken)
            if not batch:
                continue
            outcomes = self._carry_out([write for write, _, _ in batch])
            done: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Outcome]]] = {}
            for (_, loop, future), outcome in zip(batch, outcomes, strict=True):
                done.setdefault(loop, []).append((future, outcome))
            for loop, answers in done.items():
                with suppress(RuntimeError):  # the loop has come to its end, and nobody waits any more
                    loop.call_soon_threadsafe(_acknowledge, answers)


class Keeper(Protocol):
    """What writes are handed to: a store, which is waited for, or `Unwaited`, which is not."""

    async def keep(self, write: Write) -> None:
        """Hand a write in."""
        ...


class Unwaited:
    """Writes of something that goes on while they are written, and waits for all of them at its end."""

    def __init__(self, submit: Callable[[Write], "asyncio.Future[None]"]) -> None:
        self._submit = submit
        self._pending: list[asyncio.Future[None]] = []

    async def keep(self, write: Write) -> None:
        """Hand a write in.

        Raises:
            StoreError: An earlier one was not written.
        """
        for future in self._pending:
            if future.done():
                future.result()
        self._pending = [future for future in self._pending if not future.done()]
        future = self._submit(write)
        future.add_done_callback(_look_at)
        self._pending.append(future)

    async def settle(self) -> None:
        """Wait until all are committed.

        Raises:
            StoreError: One was not written.
        """
        for future in self._pending:
            await future
        self._pending.clear()


def _look_at(future: "asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.exception()  # whoever handed it in may be gone


def _acknowledge(answers: Sequence[tuple["asyncio.Future[None]", Outcome]]) -> None:
    for future, outcome in answers:
        if future.cancelled():
            continue
        if outcome is None:
            future.set_result(None)
        else:
            future.set_exception(outcome)
