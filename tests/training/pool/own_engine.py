"""Engines of a user's, good ones and bad ones."""

import os
from collections.abc import Collection
from typing import Any

from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.core.student_settings import StudentSettings
from openmic.training.engines.engine import EngineStats


class Echo:
    """Answers with the request's seed and a mark."""

    beams = True

    def __init__(self, settings: StudentSettings, *, threads: int, worker: str, mark: str = "!") -> None:
        self.settings, self.threads, self.worker, self.mark = settings, threads, worker, mark
        self.stats = EngineStats()
        self.loaded: tuple[int, ...] = (0,)

    async def generate(self, request: GenerationRequest) -> Generation:
        text = f"It is {request.seed}{self.mark}"
        return Generation(request.id, text, (1, 2), 1, request.adapter, "stop", 0.0, 1.0, self.worker)

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        self.loaded = (*self.loaded, ref.version)

    async def unload(self, version: int) -> None:
        self.loaded = tuple(each for each in self.loaded if each != version)

    async def close(self) -> None:
        """There is nothing to let go of."""


READY = Echo(StudentSettings(), threads=1, worker="")


class Half:
    """Can only end."""

    def __init__(self, settings: StudentSettings, *, threads: int, worker: str) -> None:
        self.pid = os.getpid()

    async def close(self) -> None:
        """There is nothing to let go of."""


def half(settings: StudentSettings, **rest: Any) -> Half:
    return Half(settings, **rest)


def broken(settings: StudentSettings, *, threads: int, worker: str) -> Echo:
    raise OSError("no memory")
