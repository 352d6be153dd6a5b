"""The large models as the graphs see them: every reply is committed to the store before it is used.

A request whose reply is in the store is never asked again, whatever was interrupted in between.
"""

import asyncio
from collections.abc import Mapping

from ...agents.endpoints.client import OpenAIClient
from ...core.errors import InterruptedRunError
from ...core.records import LLMReply, LLMRequest
from ...store import Store
from .seats import Seat

DRAIN_SECONDS = 8.0
"""How long an interrupt waits for replies that are already being written; an end is to take ten seconds at most."""


class ReplyCache:
    """Routes requests to the endpoint of the model that is meant, through the store."""

    def __init__(self, store: Store, run_id: str, clients: Mapping[Seat, OpenAIClient]) -> None:
        self._store, self._run_id, self._clients = store, run_id, dict(clients)
        self._asking: dict[str, asyncio.Task[LLMReply]] = {}
        self._stopping = False

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The stored reply, or the endpoint's once it is stored. The same request twice at once is asked once."""
        key = request.key
        saved = self._store.saved_reply(self._run_id, key)
        if saved is not None:
            return saved
        task = self._asking.get(key)
        if task is None:
            if self._stopping:
                raise InterruptedRunError("the run is being interrupted")
            task = self._asking[key] = asyncio.create_task(self._ask(request))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # Shielded: a cancelled dialogue must not throw away a reply that is being paid for.
        return await asyncio.shield(task)

    def trouble(self) -> str:
        """What calls to endpoints are waiting for that have to be made again; empty where all is well."""
        return "; ".join(dict.fromkeys(line for client in self._clients.values() if (line := client.trouble)))

    async def drain(self) -> int:
        """Send nothing more, and wait for what was sent, so that it is stored; how many replies came too late."""
        self._stopping = True
        for client in self._clients.values():
            client.stop_asking()
        if self._asking:
            _, late = await asyncio.wait(list(self._asking.values()), timeout=DRAIN_SECONDS)
            return len(late)
        return 0

    async def _ask(self, request: LLMRequest) -> LLMReply:
        reply = await self._clients[request.role, request.member].complete(request)
        self._store.save_reply(self._run_id, request, reply)
        return reply
