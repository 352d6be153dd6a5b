"""Student and trainer side by side where there is room for both, by turns where there is not.

By turns a training begins once all that the students have in flight is answered, and what they are asked meanwhile
waits until it is over: nothing fails by it and nothing is lost. Loading and judging what came of a training is no part
of it, since that needs the students.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...core.config import RunConfig
from ...training.student.student import resolve_device

ENOUGH_CPUS = 8
"""From so many on, what a training takes from the students is less than what they lose by waiting for it."""


class TrainGate:
    """Who may work: the students, the trainer, or with `overlapped` both at once. Belongs to one event loop."""

    def __init__(self, *, overlapped: bool) -> None:
        self.overlapped = overlapped
        self._in_flight = 0
        self._answered, self._trained = asyncio.Event(), asyncio.Event()
        self._answered.set()
        self._trained.set()

    def __str__(self) -> str:
        if self.overlapped:
            return "dialogues go on while the student is trained"
        return "dialogues wait while the student is trained (training.overlap)"

    @asynccontextmanager
    async def generating(self) -> AsyncIterator[None]:
        """For the time of one generation; waits on entering while a training has its turn."""
        while not (self.overlapped or self._trained.is_set()):
            await self._trained.wait()
        self._in_flight += 1
        self._answered.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._answered.set()

    @asynccontextmanager
    async def training(self) -> AsyncIterator[None]:
        """For the time of one training; waits on entering for what is in flight, while nothing new is let in."""
        if self.overlapped:
            yield
            return
        assert self._trained.is_set(), "one training at a time"
        self._trained.clear()
        try:
            await self._answered.wait()
            yield
        finally:
            self._trained.set()


def room_for_both(config: RunConfig) -> bool:
    """Whether students are to go on while the trainer trains, as `training.overlap` says. `auto` needs Ray running."""
    if config.training.overlap != "auto":
        return config.training.overlap == "always"
    student, training = config.student, config.training
    # A student that is served elsewhere takes nothing here.
    if student.engine == "endpoint" or student.pool.gpus_per_actor or training.gpus_per_worker:
        return True
    return resolve_device(student.device).startswith("cuda") or _room_without_gpu()


def _room_without_gpu() -> bool:
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    # Alone on a machine, a session may have declared more CPUs than there are.
    return len(nodes) > 1 or min(nodes[0]["Resources"].get("CPU", 0), os.cpu_count() or 1) >= ENOUGH_CPUS
