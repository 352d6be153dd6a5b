"""The student as a Ray actor: many callers, one micro-batching worker thread around an engine.

Requests queue up; the worker takes as many as fit a batch, waiting a few milliseconds for company, and generates. An
adapter is loaded between batches, so no generation is ever lost to a swap.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..core.config import StudentSettings
from ..core.errors import OpenmicError
from ..core.records import AdapterRef, Generation, GenerationRequest

WAITS_AT_MOST = 20
"""How many times `batch_wait_ms` a batch waits in all."""


@dataclass(slots=True)
class _Waiting:
    request: GenerationRequest
    reply: "asyncio.Future[Generation]"
    queued_at: float


class StudentWorker:
    """What runs inside the actor's process. `training.pool` makes a Ray actor of it."""

    def __init__(self, settings: StudentSettings, threads: int, adapters: list[AdapterRef]) -> None:
        import torch

        from .static_engine import StaticEngine
        from .student import load_student

        # One thread owns the engine: OpenMP's thread count belongs to a thread, and Ray starts us with it set to 1.
        self._engine_thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self._settings = settings
        student = load_student(settings.model, device=settings.device)
        self._engine = StaticEngine(student, max_batch=settings.max_batch, worker=f"pid-{os.getpid()}")
        for ref in adapters:
            self._engine.load_adapter(ref)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._engine_free = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None

    async def ready(self) -> int:
        """The current adapter version, once the model is loaded."""
        return self._engine.current

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation; shares its batch with whatever else is waiting."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())
        reply: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(request, reply, time.monotonic()))
        return await reply

    async def load_adapter(self, ref: AdapterRef, make_current: bool = True) -> int:
        """Load an adapter between two batches; returns the version that is now current."""
        async with self._engine_free:
            await self._on_engine(self._engine.load_adapter, ref, make_current=make_current)
        return self._engine.current

    async def _serve(self) -> None:
        while True:
            batch = await self._next_batch()
            async with self._engine_free:
                started = time.monotonic()
                answers = await self._answers([waiting.request for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.reply.cancelled():
                    continue
                if isinstance(answer, BaseException):
                    waiting.reply.set_exception(answer)
                    continue
                waiting.reply.set_result(replace(answer, queue_ms=(started - waiting.queued_at) * 1000))

    async def _answers(self, requests: list[GenerationRequest]) -> list[Generation | Exception]:
        """Each request's generation, or what went wrong with it: a request that fails does not take others along."""
        try:
            return list(await self._on_engine(self._engine.generate, requests))
        except Exception as error:  # the callers must hear of it; a silent worker would hang them all
            if len(requests) > 1:
                return [answer for request in requests for answer in await self._answers([request])]
            if isinstance(error, OpenmicError):
                return [error]
            return [RuntimeError(f"generation failed: {type(error).__name__}: {error}")]

    async def _on_engine(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._engine_thread, partial(work, *args, **options))

    async def _next_batch(self) -> list[_Waiting]:
        """All that waits, and what follows each within `batch_wait_ms`: a crowd arrives one by one."""
        batch = [await self._queue.get()]
        wait = self._settings.batch_wait_ms / 1000
        latest = time.monotonic() + wait * WAITS_AT_MOST
        while len(batch) < self._settings.max_batch:
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), min(wait, latest - time.monotonic())))
            except TimeoutError:
                break
        return batch
