"""What the driver holds of the student and the trainer: plain coroutines in front of Ray actors."""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

from ..core.config import StudentSettings
from ..core.errors import GenerationError, OpenmicError, TrainingError
from ..core.records import AdapterRef, Generation, GenerationRequest, TrainingMetrics
from .student_actor import StudentWorker
from .trainer_actor import TrainerWorker, TrainingJob, TrainingProgress

ACTOR_CONCURRENCY = 512
"""Calls an actor takes at once; they wait in its queue, so this bounds the queue."""
PROGRESS_SECONDS = 0.5


class StudentPool:
    """The student, wherever it runs. Needs a running Ray session."""

    def __init__(self, settings: StudentSettings, *, threads: int | None, adapters: Sequence[AdapterRef] = ()) -> None:
        import ray

        actor = ray.remote(StudentWorker).options(num_cpus=1, max_restarts=0, max_concurrency=ACTOR_CONCURRENCY)
        self._actor: Any = actor.remote(settings, threads or os.cpu_count() or 1, list(adapters))

    async def ready(self) -> int:
        """Wait until the model is loaded; returns the current adapter version."""
        return int(await _call(self._actor.ready.remote(), GenerationError))

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation. Raises GenerationError when the student could not answer."""
        generation = await _call(self._actor.generate.remote(request), GenerationError)
        assert isinstance(generation, Generation)
        return generation

    async def load_adapter(self, ref: AdapterRef, *, make_current: bool = True) -> None:
        """Load an adapter between two batches. Raises AdapterError and leaves the old one serving if it is broken."""
        await _call(self._actor.load_adapter.remote(ref, make_current), GenerationError)

    def close(self) -> None:
        """End the actor."""
        _kill(self._actor)


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
        training = asyncio.ensure_future(_call(self._actor.train.remote(job), TrainingError))
        try:
            while not training.done():
                await asyncio.wait([training], timeout=PROGRESS_SECONDS)
                if not training.done():
                    on_progress(await _call(self._actor.progress.remote(), TrainingError))
        except asyncio.CancelledError:
            training.cancel()
            self.close()  # a thread cannot be interrupted, a process can
            raise
        ref, metrics = training.result()
        return ref, metrics

    def close(self) -> None:
        """End the actor."""
        _kill(self._actor)


async def _call(reference: Any, failure: type[OpenmicError]) -> Any:
    """Await a Ray call; openmic's own errors come through as they were raised, others become `failure`."""
    from ray.exceptions import RayError, RayTaskError

    try:
        return await reference
    except OpenmicError:
        raise
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, OpenmicError):
            raise cause from None
        raise failure(f"{type(cause).__name__}: {cause}") from error
    except RayError as error:
        lines = str(error).strip().splitlines()
        # Of an actor that could not start Ray gives the traceback, and its last line says why.
        why = lines[-1] if getattr(error, "actor_init_failed", False) else lines[0]
        raise failure(f"the actor's process ended: {why}") from error


def _kill(actor: Any) -> None:
    import ray

    if ray.is_initialized():
        ray.kill(actor)
