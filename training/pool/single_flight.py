"""Requests that are being answered, by id: asking for one again is waiting for the same answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ...core.errors import GenerationError
from ...core.records import Generation, GenerationRequest


class SingleFlight:
    """Answers each id once at a time, however many wait for it. It keeps nothing that has been answered."""

    def __init__(self, answer: Callable[[GenerationRequest], Coroutine[Any, Any, Generation]]) -> None:
        self._answer = answer
        self._tasks: dict[str, asyncio.Task[Generation]] = {}
        self._requests: dict[str, GenerationRequest] = {}
        self._waiting: dict[str, int] = {}

    async def ask(self, request: GenerationRequest) -> Generation:
        """The answer. A caller that gives up takes the others' away only if it was the last one that waited.

        Raises:
            GenerationError: the id is that of another request in flight.
        """
        key = request.id
        if key in self._tasks and self._requests[key] != request:
            raise GenerationError(f"two different requests are called {key!r}; every request needs an id of its own")
        if key not in self._tasks:
            self._requests[key] = request
            self._tasks[key] = asyncio.get_running_loop().create_task(self._answer(request))
            self._tasks[key].add_done_callback(_look_at)
            self._waiting[key] = 0
        task = self._tasks[key]
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._leave(key, task)

    def _leave(self, key: str, task: asyncio.Task[Generation]) -> None:
        if self._tasks.get(key) is not task:
            return
        self._waiting[key] -= 1
        if task.done() or not self._waiting[key]:
            del self._tasks[key], self._requests[key], self._waiting[key]
            task.cancel()


def _look_at(task: asyncio.Task[Generation]) -> None:
    """An error that nobody waits for is nobody's business; asyncio would log it otherwise."""
    if not task.cancelled():
        task.exception()
