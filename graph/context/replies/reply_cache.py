"""The large models as the graphs see them: every reply is committed to the store before it is used.

A request whose reply is in the store is never asked again, whatever was interrupted in between. The budget is asked
before one is sent.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ....agents.endpoints.client import OpenAIClient
from ....core.errors import EndpointError, InterruptedRunError
from ....core.records import LLMReply, LLMRequest
from ....core.text import rough_tokens
from ....store import Store
from ....store.writes import saving_reply
from ..budget import Allowance
from ..reuse import Reuse
from ..seats import Seat
from .batching import Batching

DRAIN_SECONDS = 8.0
"""How long an interrupt waits for replies that are already being written; an end is to take ten seconds at most."""


class Late(NamedTuple):
    """What an end could not wait for."""

    unanswered: int
    """Requests whose replies did not come."""
    unstored: int
    """Replies that came, and that the store did not take."""


class ReplyCache:
    """Routes requests to the endpoint of the model that is meant, through the store."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        clients: Mapping[Seat, OpenAIClient],
        budget: Allowance | None = None,
        reuse: Reuse | None = None,
    ) -> None:
        self._store, self._run_id, self._clients = store, run_id, dict(clients)
        self._budget, self._reuse = budget, reuse
        self.batching = Batching(store, run_id, clients, budget)
        """What is sent to providers in batches."""
        self._asking: dict[str, asyncio.Task[LLMReply]] = {}
        self._stopping = False
        self._unstored = set[str]()
        self.look_again()
        for seat, thoughts in store.thoughts_alone(run_id).items():  # once: every row is looked at for it
            if seat in self._clients:
                self._clients[seat].remember_thought(thoughts.most_room)
        if budget is not None:
            budget.when_spent(self._send_nothing_more)

    def look_again(self) -> None:
        """Know of the replies that others have stored since."""
        self._stored = _Keys(self._store.reply_keys(self._run_id))

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The stored reply, or the endpoint's once it is stored. The same request twice at once is asked once.

        Raises:
            BudgetError: nothing more may be asked.
            EndpointError: there is no reply to be had.
        """
        key = request.key
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._answer(request))
            task.add_done_callback(partial(self._answered, key))
        # Shielded: a cancelled dialogue must not throw away a reply that is being paid for.
        return await asyncio.shield(task)

    def trouble(self) -> str:
        """What the store, calls that have to be made again, and batches wait for; empty where nothing does."""
        lines = [self._store.trouble, *(client.trouble for client in self._clients.values()), *self.batching.news]
        return "; ".join(dict.fromkeys(line for line in lines if line))

    async def drain(self) -> Late:
        """Send nothing more, and wait for what was sent, so that it is stored; tells what came to nothing."""
        self._stopping = True
        self._send_nothing_more()
        if self._asking:
            await asyncio.wait(list(self._asking.values()), timeout=DRAIN_SECONDS)
        if self._unstored:
            self._store.patience_s = 0.0  # an end does not wait for whoever keeps the store locked
        return Late(len(self._asking.keys() - self._unstored), len(self._unstored))

    def _answered(self, key: str, task: asyncio.Task[LLMReply]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # looked at here too, since who asked may be gone: then it is nobody's

    def _send_nothing_more(self) -> None:
        for client in self._clients.values():
            client.stop_asking()

    async def _answer(self, request: LLMRequest) -> LLMReply:
        """The store's reply, an earlier run's, or the endpoint's: looked for by one who asks, while others wait."""
        if (saved := await self._stored_reply(request)) is not None:
            return saved
        if self._reuse is not None:
            taken = await self._store.patiently(self._reuse.reply, request)
            if taken is not None:
                await self._keep(request, taken.reply, taken.run_id)
                return taken.reply
        if self._stopping:
            raise InterruptedRunError("the run is being interrupted")
        self._store.require_room()  # nothing is paid for that cannot be kept
        return await self._ask(request)

    async def _ask(self, request: LLMRequest) -> LLMReply:
        if self._budget is not None:
            self._budget.check()
        try:
            if not self.batching.takes(request):
                return await self._ask_singly(request)
            with self.batching.waiting(request) as waiting:
                batched = await waiting
                if batched is not None and not batched.thought_alone:
                    return await self._keep_paid(request, batched.reply)
                if batched is not None:
                    await self._keep_aside(request, batched.reply)
                return await self._ask_singly(request)
        except (EndpointError, InterruptedRunError):
            if self._budget is not None:
                self._budget.check()  # it waited for its turn when others took what was left
            raise

    async def _ask_singly(self, request: LLMRequest) -> LLMReply:
        aside = partial(self._keep_aside, request)
        reply = await self._clients[request.role, request.member].complete(request, aside)
        return await self._keep_paid(request, reply)

    async def _keep_aside(self, request: LLMRequest, reply: LLMReply) -> None:
        """Keep a reply that is no answer, for what it took; nothing is asked past the budget.

        A run that is taken up again asks anew, so there may be some already; what came in a batch may come again.
        """
        kept, batch = replace(request, thought_alone=1), reply.raw.get("batch")
        while (before := await self._stored_reply(kept)) is not None:
            if batch is not None and before.raw.get("batch") == batch:
                break
            kept = replace(request, thought_alone=kept.thought_alone + 1)
        else:
            await self._keep_paid(kept, reply)
        if self._budget is not None:
            self._budget.check()

    async def _stored_reply(self, request: LLMRequest) -> LLMReply | None:
        if request.key not in self._stored:
            return None
        return await self._store.patiently(self._store.saved_reply, self._run_id, request.key)

    async def _keep_paid(self, request: LLMRequest, reply: LLMReply) -> LLMReply:
        """The reply with its tokens, once the budget knows of it and the store has it."""
        reply = _counted(request, reply)
        if self._budget is not None:
            self._budget.take((request.role, request.member), reply.usage)
        # It was paid for: it is kept here until the store takes it, and given to nobody before.
        self._unstored.add(request.key)
        await self._keep(request, reply)
        self._unstored.discard(request.key)
        return reply

    async def _keep(self, request: LLMRequest, reply: LLMReply, reused_from: str | None = None) -> None:
        self._stored.add(request.key)
        await self._store.keep(saving_reply(self._run_id, request, reply, reused_from))


class _Keys:
    """Keys of replies that may be in the store: a Bloom filter, whose size stays the same.

    It spares new requests a look into the store. With some hundred thousand keys in it hardly any other is taken for
    one of them, with millions more are.
    """

    _BITS = 2**23
    _PARTS = (slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32))
    """Of a key, which is a hash in hex: each is a place."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._marks = bytearray(self._BITS // 8)
        for key in keys:
            self.add(key)

    def add(self, key: str) -> None:
        for place in self._places(key):
            self._marks[place >> 3] |= 1 << (place & 7)

    def __contains__(self, key: str) -> bool:
        return all(self._marks[place >> 3] & 1 << (place & 7) for place in self._places(key))

    def _places(self, key: str) -> list[int]:
        return [int(key[part], 16) % self._BITS for part in self._PARTS]


def _counted(request: LLMRequest, reply: LLMReply) -> LLMReply:
    """The reply with its tokens; where its endpoint did not count them, they are estimated from their characters."""
    usage = reply.usage
    if usage.input and usage.output:
        return reply
    written = rough_tokens(reply.text) + rough_tokens(reply.thought)
    if usage.input and not written:
        return reply
    read = sum(rough_tokens(message.content) for message in request.messages)
    counted = {"input": usage.input or read, "output": usage.output or written, "estimated": 1}
    return reply.model_copy(update={"usage": usage.model_copy(update=counted)})
