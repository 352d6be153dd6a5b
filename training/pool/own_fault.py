"""Whose fault it is that a request is not answered: its own, or the students'. This file knows nothing of Ray.

A request fails for itself where the student answers another with the same adapter: then its item fails, and the run
goes on. Where nothing is answered it is the students' fault, or their machine's, and no item is marked as failed.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

from ...core.errors import GenerationError, StudentLostError, UnansweredError
from ...core.records import Generation, GenerationRequest
from ..engines.engine import plain_request


class OwnFault:
    """Sends requests, and finds out about those that fail, one at a time: one of them may take others along."""

    def __init__(self, send: Callable[[GenerationRequest], Awaitable[Generation]]) -> None:
        self._send = send
        self._answered: Counter[int] = Counter()
        self._numbers = count(1)
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, request: GenerationRequest) -> Generation:
        """The answer.

        Raises:
            GenerationError: this request cannot be answered, while others are.
            StudentLostError: none is answered.
        """
        try:
            return await self._counted(request)
        except (GenerationError, UnansweredError) as error:
            failure, answered = error, self._answered[request.adapter]
        async with self._one_at_a_time:
            if self._answered[request.adapter] == answered:
                await self._ask_another(request.adapter, failure)
            if isinstance(failure, GenerationError):
                raise failure
            try:
                # By itself: what it failed with may be another's fault.
                return await self._counted(replace(request, hurried=True))
            except UnansweredError as again:
                failure = again
            await self._ask_another(request.adapter, failure)  # they may have been lost just then
        raise GenerationError(str(failure)) from failure

    async def _counted(self, request: GenerationRequest) -> Generation:
        found = await self._send(request)
        self._answered[request.adapter] += 1
        return found

    async def _ask_another(self, version: int, failure: Exception) -> None:
        """Return if a plain request is answered, or any other is meanwhile: a server may just have a long queue."""
        answered = self._answered[version]
        try:
            await self._counted(plain_request(f"plain-{next(self._numbers)}", version))
        except (GenerationError, UnansweredError) as error:
            if self._answered[version] != answered:
                return
            raise StudentLostError(f"{failure}; a plain request is not answered either, so no item fails") from error
