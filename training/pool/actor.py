"""The Ray actor around a student's worker: what every pool of students needs, whatever the worker does.

It bounds how much the worker is given, and tells one life of the process from the next: Ray starts a process that died
anew without a word, and the new one does not have the adapters that the old one was sent. It imports nothing heavy.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import uuid4

from ...core.errors import GenerationError, OverloadError
from ...core.records import AdapterRef, Generation, GenerationRequest
from .metrics import BATCH_SIZE, SWAP_PAUSE


class Counters(Protocol):
    """What a worker counts, of which metrics are made; `training.engines.engine.EngineStats` is the real one."""

    batches: int
    batched_rows: int
    """Rows of all batches together."""
    swaps: int
    last_swap_pause_s: float


class Worker(Protocol):
    """What a host asks of a worker; `training.pool.worker.StudentWorker` is the real one."""

    async def ready(self) -> int:
        """The current adapter version, once the model is loaded."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation."""

    async def load_adapter(self, ref: AdapterRef, make_current: bool = True) -> int:
        """Verify and load an adapter; returns the version that is now current."""

    async def stats(self) -> Counters:
        """What it has counted so far."""


class Loaded(NamedTuple):
    """What became of loading an adapter."""

    current: int
    """The version that is now current."""
    pause_s: float
    """How long nothing was generated because of it."""


class RestartedError(GenerationError):
    """The process is not the one that the call was meant for: it was started anew since. Nothing was done."""


class StudentHost:
    """One student in its own process. `training.pool.replica` holds its other end."""

    def __init__(self, build: Callable[[], Worker], max_in_flight: int) -> None:
        self._worker = build()
        self._max_waiting = max_in_flight
        self._held = 0
        self._life = uuid4().hex
        self._batches = self._rows = 0

    async def describe(self) -> tuple[str, int]:
        """This life of the process, and the current adapter version."""
        return self._life, await self._worker.ready()

    async def outlive(self) -> None:
        """Never answers: the call fails when the process ends, which tells its caller at once."""
        await asyncio.Event().wait()

    async def generate(self, life: str, request: GenerationRequest) -> Generation:
        """One generation.

        Raises:
            RestartedError: `life` has ended.
            OverloadError: as many requests as may be are here already.
        """
        self._check(life)
        if self._held >= self._max_waiting:
            raise OverloadError(
                f"request {request.id!r} came to a student that holds {self._held} already; raise "
                f"student.pool.max_in_flight, now {self._max_waiting}, or student.pool.actors"
            )
        self._held += 1
        try:
            generation = await self._worker.generate(request)
        finally:
            self._held -= 1
        await self._count_batches()
        return generation

    async def load_adapter(self, life: str, ref: AdapterRef, make_current: bool) -> Loaded:
        """Verify and load an adapter.

        Raises:
            RestartedError: `life` has ended.
            AdapterError: the adapter is broken; what was current still is.
        """
        self._check(life)
        before = (await self._worker.stats()).swaps
        current = await self._worker.load_adapter(ref, make_current)
        after = await self._worker.stats()
        if after.swaps == before:
            return Loaded(current, 0.0)
        SWAP_PAUSE.record(after.last_swap_pause_s)
        return Loaded(current, after.last_swap_pause_s)

    async def _count_batches(self) -> None:
        counters = await self._worker.stats()
        if counters.batches > self._batches:
            BATCH_SIZE.record((counters.batched_rows - self._rows) / (counters.batches - self._batches))
            self._batches, self._rows = counters.batches, counters.batched_rows

    def _check(self, life: str) -> None:
        if life != self._life:
            raise RestartedError("the student's process was started anew; it has to be given its adapters first")
