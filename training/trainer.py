"""What the driver holds of the trainer: coroutines in front of a Ray actor."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from ..core.errors import TrainingError
from ..core.records import AdapterRef, TrainingMetrics
from .remote import ActorLostError, call, end
from .trainer_actor import TrainerWorker, TrainingJob, TrainingProgress

PROGRESS_SECONDS = 0.5


class Trainer:
    """The trainer, wherever it runs. Needs a running Ray session."""

    def __init__(self, *, threads: int | None) -> None:
        import ray

        actor = ray.remote(TrainerWorker).options(num_cpus=1, max_restarts=0, max_concurrency=2)
        self._actor: Any = actor.remote(threads or os.cpu_count() or 1)

    async def train(
        self, job: TrainingJob, on_progress: Callable[[TrainingProgress], None] = lambda _: None
    ) -> tuple[AdapterRef, TrainingMetrics]:
        """Fine-tune, calling `on_progress` about twice a second. Raises TrainingError."""
        training = asyncio.ensure_future(self._call(self._actor.train.remote(job)))
        try:
            while not training.done():
                await asyncio.wait([training], timeout=PROGRESS_SECONDS)
                if not training.done():
                    on_progress(await self._call(self._actor.progress.remote()))
        except asyncio.CancelledError:
            training.cancel()
            self.close()  # a thread cannot be interrupted, a process can
            raise
        ref, metrics = training.result()
        return ref, metrics

    def close(self) -> None:
        """End the actor."""
        end(self._actor)

    async def _call(self, reference: Any) -> Any:
        try:
            return await call(reference, TrainingError)
        except ActorLostError as error:
            raise TrainingError(str(error)) from error
