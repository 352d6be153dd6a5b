"""Routing: the replica with fewest requests by the driver's own count, and a queue where all are full.

The driver is the only caller, so its count is right and nobody has to be asked. This file knows nothing of Ray.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from ...core.errors import OpenmicError


class Target(Protocol):
    """What a request can be sent to."""

    in_flight: int
    """Requests it was given and has not answered."""

    @property
    def serving(self) -> bool:
        """Whether it may be given work."""

    def take(self) -> None:
        """Count one request more."""

    def give_back(self) -> None:
        """Count one request less."""


class Router:
    """Hands out targets, none with more than `limit` requests; callers beyond that wait, first come first served."""

    def __init__(self, targets: Sequence[Target], limit: int) -> None:
        """`targets` is looked at anew for each request, so the owner may change it."""
        self._targets = targets
        self._limit = limit
        self._waiting: deque[asyncio.Future[Target]] = deque()
        self._watching: list[asyncio.Future[None]] = []
        self._turn = 0
        self._failure: OpenmicError | None = None

    @property
    def waiting(self) -> int:
        """Callers that wait for their turn."""
        return sum(not waiting.done() for waiting in self._waiting)

    async def until_serving(self, count: int = 1) -> None:
        """Wait until so many targets serve, however full they are. Raises what `fail` was given."""
        while True:
            if self._failure is not None:
                raise self._failure
            if sum(target.serving for target in self._targets) >= count:
                return
            self._watching.append(asyncio.get_running_loop().create_future())
            await self._watching[-1]

    async def acquire(self) -> Target:
        """The least loaded target, counted; to be given to `release` afterwards. Raises what `fail` was given."""
        if self._failure is not None:
            raise self._failure
        if all(waiting.done() for waiting in self._waiting) and (free := self._free()) is not None:
            free.take()
            return free
        turn: asyncio.Future[Target] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # Its turn may have come in the moment in which it gave up.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            raise

    def release(self, target: Target) -> None:
        """The request was answered, or will not be."""
        target.give_back()
        self.wake()

    def wake(self) -> None:
        """Give free places to those that wait; to be called when a target has begun to serve."""
        if any(target.serving for target in self._targets):
            for watching in self._emptied(self._watching):
                watching.set_result(None)
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif (free := self._free()) is not None:
                free.take()
                self._waiting.popleft().set_result(free)
            else:
                return

    def fail(self, error: OpenmicError, *, for_good: bool) -> None:
        """Let all that wait hear of an error and, where there is no hope, all that come later."""
        if for_good:
            self._failure = error
        for waiting in [*self._emptied(self._waiting), *self._emptied(self._watching)]:
            waiting.set_exception(error)

    @staticmethod
    def _emptied(futures: "deque[Any] | list[Any]") -> list[asyncio.Future[Any]]:
        """Drain `futures`, returning the pending ones."""
        open_ones = [future for future in futures if not future.done()]
        futures.clear()
        return open_ones

    def _free(self) -> Target | None:
        """Of those with the fewest requests the one whose turn it is, so that idle targets are used evenly."""
        count = len(self._targets)
        order = [self._targets[(self._turn + place) % count] for place in range(count)]
        free = [target for target in order if target.serving and target.in_flight < self._limit]
        if not free:
            return None
        self._turn += 1
        return min(free, key=lambda target: target.in_flight)
