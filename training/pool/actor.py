"""The Ray actor of a student: it holds one engine, in a process of its own.

It bounds how many requests the engine is given, and tells one incarnation of the process from the next: Ray restarts a
process that died without telling its callers, and the new one lacks the adapters that the old one had loaded. It
imports nothing heavy, so that the driver need not.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from uuid import uuid4

from ...core.errors import GenerationError, OverloadError
from ...core.records import AdapterRef, Generation, GenerationRequest
from ...core.student_settings import StudentSettings
from ..engines.engine import EngineFactory, StudentEngine, read_generation
from ..student.fingerprint import KnownFiles
from .metrics import BATCH_SIZE, SERVER_RESTARTS, SWAP_PAUSE

_LOOK_S = 0.5
"""How often it is looked whether there is a warning to tell."""


class RestartedError(GenerationError):
    """The process is not the one that the call was meant for: it was restarted since. Nothing was done."""


class StudentActor:
    """One student in its own process. `training.pool.replica` is the driver's end of it."""

    def __init__(self, build: Callable[[], StudentEngine], max_in_flight: int) -> None:
        """`build` makes the engine; all it needs is in it, so that Ray can restart the actor."""
        self._warnings = _Warnings()
        self._engine = build()
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._incarnation = uuid4().hex
        self._batches = self._rows = self._restarts = 0

    async def describe(self) -> str:
        """Which incarnation of the process this is; answers once the engine is made."""
        return self._incarnation

    async def next_warning(self) -> str:
        """What the engine warns of next; it would be lost in this process. The call fails when the process ends."""
        while not self._warnings.said:  # noqa: ASYNC110 - what warns runs in any thread
            await asyncio.sleep(_LOOK_S)
        return self._warnings.said.popleft()

    async def generate(self, incarnation: str, request: GenerationRequest) -> Generation:
        """One generation.

        Raises:
            RestartedError: the process is another than `incarnation`.
            OverloadError: as many requests as may be are here already.
            GenerationError: the engine gave no generation.
        """
        self._check(incarnation)
        if self._in_flight >= self._max_in_flight:
            raise OverloadError(
                f"request {request.id!r} came to a student that holds {self._in_flight} already; raise "
                f"student.pool.max_in_flight, now {self._max_in_flight}, or student.pool.actors"
            )
        self._in_flight += 1
        try:
            generation = read_generation(await self._engine.generate(request), request)
        finally:
            self._in_flight -= 1
        self._record_batches()
        return generation

    async def load_adapter(self, incarnation: str, ref: AdapterRef, keep: Collection[int]) -> float:
        """Verify and load an adapter without dropping the versions in `keep`.

        Returns:
            For how many seconds nothing was generated because of it; 0 for one that was loaded already.

        Raises:
            RestartedError: the process is another than `incarnation`.
            AdapterError: the adapter is broken; what was loaded still is.
        """
        self._check(incarnation)
        before = self._engine.stats.swaps
        await self._engine.load(ref, keep=keep)
        after = self._engine.stats
        if after.swaps == before:
            return 0.0
        SWAP_PAUSE.record(after.last_swap_pause_s)
        return after.last_swap_pause_s

    def _record_batches(self) -> None:
        stats = self._engine.stats
        if stats.batches > self._batches:
            BATCH_SIZE.record((stats.batched_rows - self._rows) / (stats.batches - self._batches))
            self._batches, self._rows = stats.batches, stats.batched_rows
        if stats.restarts > self._restarts:
            SERVER_RESTARTS.record(stats.restarts - self._restarts)
            self._restarts = stats.restarts

    def _check(self, incarnation: str) -> None:
        if incarnation != self._incarnation:
            raise RestartedError("the student's process was restarted; it has to be given its adapters first")


class _Warnings(logging.Handler):
    """Keeps what openmic warns of in this process, whose streams nobody reads."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: deque[str] = deque(maxlen=100)
        logging.getLogger(__name__.partition(".")[0]).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one more."""
        self.said.append(record.getMessage())


def configured_engine(
    settings: StudentSettings, threads: int, engine: EngineFactory | None, folder: Path | None, known: KnownFiles
) -> StudentEngine:
    """The engine that the settings name; imports what it needs only here, in the actor's process."""
    from ..engines.choose import make_engine

    return make_engine(settings, threads=threads, engine=engine, folder=folder, known=known)
