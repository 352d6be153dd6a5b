"""The `static` engine: a micro-batcher in front of `training.engines.static_engine`.

Requests queue up; a batch is as many as fit, waited for a few milliseconds. An adapter is loaded between batches, so no
generation is ever lost to a swap. Does everything the student can: both kinds, sampling and beam search.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import torch

from ...core.errors import GenerationError, OpenmicError
from ...core.records import AdapterRef, Generation, GenerationRequest
from .engine import CLOSED, EngineStats
from .static_engine import StaticEngine

WAITS_AT_MOST = 20
"""How many times `wait_ms` a batch waits in all."""


@dataclass(slots=True)
class _Waiting:
    request: GenerationRequest
    reply: "asyncio.Future[Generation]"
    queued_at: float


class MicroBatcher:
    """Makes a `StudentEngine` of a `StaticEngine`, which it has for itself."""

    def __init__(self, engine: StaticEngine, *, max_batch: int, wait_ms: float, threads: int) -> None:
        # One thread owns the engine: OpenMP's thread count belongs to a thread, and Ray starts us with it set to 1.
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self._engine = engine
        self._max_batch = max_batch
        self._wait = wait_ms / 1000
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._batch: list[_Waiting] = []
        self._engine_free = asyncio.Lock()
        self._loop: asyncio.Task[NoReturn] | None = None
        self._closed = False
        self._stats = EngineStats()

    @property
    def current(self) -> int:
        """The adapter version of requests that name none."""
        return self._engine.current

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for."""
        return self._engine.loaded

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters."""
        return replace(self._stats, waiting=self._queue.qsize() + len(self._batch) - self._stats.running)

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation; shares its batch with whatever else is waiting."""
        if self._closed:
            raise GenerationError(CLOSED)
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())
        reply: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(request, reply, time.monotonic()))
        return await reply

    async def load_adapter(self, ref: AdapterRef, *, make_current: bool = True) -> None:
        """Verify an adapter beside the batch that is running, and load it before the next."""
        adapter = await asyncio.to_thread(self._engine.verified, ref)
        async with self._engine_free:
            began = time.monotonic()
            await self._on_engine(self._engine.load_adapter, ref, make_current=make_current, adapter=adapter)
            self._stats.count_swap(time.monotonic() - began)

    async def unload(self, version: int) -> None:
        """Let go of a version after the batch that is running."""
        async with self._engine_free:
            await self._on_engine(self._engine.unload, version)

    async def close(self) -> None:
        """End after the batch that is running; whoever waits hears of it."""
        self._closed = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        left = list(self._batch)
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for waiting in left:
            if not waiting.reply.done():
                waiting.reply.set_exception(GenerationError(CLOSED))
        await asyncio.to_thread(self._thread.shutdown)

    async def _serve(self) -> NoReturn:
        while True:
            await self._collect()
            async with self._engine_free:
                batch = self._batch = [waiting for waiting in self._batch if not waiting.reply.cancelled()]
                started = time.monotonic()
                self._stats.running = len(batch)
                answers = await self._answers([waiting.request for waiting in batch])
                self._stats.running = 0
                self._stats.busy_s += time.monotonic() - started
            self._batch = []
            for waiting, answer in zip(batch, answers, strict=True):
                self._reply(waiting, answer, started)

    def _reply(self, waiting: _Waiting, answer: Generation | Exception, started: float) -> None:
        if isinstance(answer, Generation):
            self._stats.answered += 1
            self._stats.tokens += len(answer.token_ids)
        if waiting.reply.cancelled():
            return
        if isinstance(answer, Exception):
            waiting.reply.set_exception(answer)
        else:
            waiting.reply.set_result(replace(answer, queue_ms=(started - waiting.queued_at) * 1000))

    async def _answers(self, requests: list[GenerationRequest]) -> list[Generation | Exception]:
        """Each request's generation, or what went wrong with it: a request that fails does not take others along."""
        if not requests:
            return []
        try:
            answers = await self._on_engine(self._engine.generate, requests)
        except Exception as error:  # the callers must hear of it; a silent engine would hang them all
            if len(requests) > 1:
                return [answer for request in requests for answer in await self._answers([request])]
            if isinstance(error, OpenmicError):
                return [error]
            return [RuntimeError(f"generation failed: {type(error).__name__}: {error}")]
        self._stats.batches += 1
        self._stats.batched_rows += len(requests)
        return list(answers)

    async def _on_engine(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **options))

    async def _collect(self) -> None:
        """All that waits, and what follows each within the wait: a crowd arrives one by one."""
        self._batch = [await self._queue.get()]
        latest = time.monotonic() + self._wait * WAITS_AT_MOST
        while len(self._batch) < self._max_batch:
            try:
                self._batch.append(
                    await asyncio.wait_for(self._queue.get(), min(self._wait, latest - time.monotonic()))
                )
            except TimeoutError:
                return
