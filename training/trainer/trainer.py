"""What the driver holds of the trainer: coroutines in front of a Ray actor, or of several that train together.

A training whose process dies is gone on with in a new one, from its last checkpoint, wherever Ray finds room for it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from ...core.errors import OpenmicError, TrainingError
from ...core.records import AdapterRef, TrainingMetrics
from ...core.training_settings import TrainingSettings
from ..loop.checkpoints import remove_checkpoint
from ..loop.job import PeerLostError, TrainingJob, TrainingProgress
from ..pool.remote import ActorLostError, call, end
from .actor import TrainerWorker

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 0.5
TRIES = 4
"""Processes that a training may use up. A cause that outlives several of them, such as too little memory, will stay."""
LOST = (ActorLostError, PeerLostError)
OTHERS_SECONDS = 5.0
"""How long, when one worker has failed, to wait for the others to say why."""


class Trainer:
    """The trainer, wherever it runs. Needs a running Ray session."""

    def __init__(self, settings: TrainingSettings) -> None:
        """Start the workers. Of the settings those count that say how many they are, and what each may take."""
        self._settings = settings
        self._closed = False
        self._workers: list[Any] = []
        self._start()

    async def train(
        self, job: TrainingJob, on_progress: Callable[[TrainingProgress], None] = lambda _: None
    ) -> tuple[AdapterRef, TrainingMetrics]:
        """Fine-tune, calling `on_progress` about twice a second. One training at a time.

        Raises:
            TrainingError: the training cannot be done, its process ended more often than can be chance, or the
                trainer is closed.
            OpenmicError: as the training raised it, which is not tried again.
        """
        for tried in range(1, TRIES + 1):
            if self._closed:
                raise TrainingError("the trainer is closed; a new one can go on with the training")
            if not self._workers:
                self._start()
            try:
                result = await self._attempt(job, on_progress)
            except LOST as error:
                self._end()
                logger.warning("the training of adapter version %d lost a process: %s", job.version, error)
                if isinstance(error, ActorLostError) and error.start_failed:
                    raise TrainingError(f"the trainer cannot be started: {error}") from error
                if tried == TRIES:
                    raise TrainingError(
                        f"the training of adapter version {job.version} lost its process {TRIES} times, at last "
                        f"because {error}; is there enough memory for training.batch_size or micro_batch_size?"
                    ) from error
            except asyncio.CancelledError:
                self._end()  # a thread cannot be interrupted, a process can
                raise
            except OpenmicError:
                if len(self._workers) > 1:
                    self._end()  # the others may wait for one that failed
                raise
            else:
                await asyncio.to_thread(remove_checkpoint, job.adapters, job.version)
                return result
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """End the actors. What they were doing can be gone on with from its last checkpoint."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        import ray

        settings = self._settings
        actor = ray.remote(TrainerWorker).options(
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
            resources=settings.resources,
            max_restarts=0,  # one that Ray started anew would have nobody to tell it what to do
            max_concurrency=2,
        )
        together = settings.workers > 1
        threads = settings.threads or (max(1, int(settings.cpus_per_worker)) if together else None)
        own_gpu = settings.gpus_per_worker >= 1
        self._workers = [
            actor.remote(threads, index=index, workers=settings.workers, own_gpu=own_gpu)
            for index in range(settings.workers)
        ]

    def _end(self) -> None:
        for worker in self._workers:
            end(worker)
        self._workers = []

    async def _attempt(
        self, job: TrainingJob, on_progress: Callable[[TrainingProgress], None]
    ) -> tuple[AdapterRef, TrainingMetrics]:
        """Run one attempt. Re-raises the root-cause error rather than a peer's disconnect."""
        first = self._workers[0]
        address = await call(first.open_rendezvous.remote(), TrainingError) if len(self._workers) > 1 else None
        trainings = [asyncio.ensure_future(call(sent, TrainingError)) for sent in self._sent(job, address)]
        try:
            while not (_errors(trainings) or trainings[0].done()):
                await asyncio.wait(trainings, timeout=PROGRESS_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
                if not (_errors(trainings) or trainings[0].done()):
                    on_progress(await call(first.progress.remote(), TrainingError))
            if all(isinstance(error, LOST) for error in _errors(trainings)):
                # One that lost its peer says so at once, and the peer perhaps a little later why it failed.
                await asyncio.wait(trainings, timeout=OTHERS_SECONDS)
            for error in sorted(_errors(trainings), key=lambda error: isinstance(error, LOST)):
                raise error
            ref, metrics = trainings[0].result()
            return ref, metrics
        finally:
            for training in trainings:
                training.cancel()
            await asyncio.gather(*trainings, return_exceptions=True)

    def _sent(self, job: TrainingJob, address: tuple[str, int] | None) -> list[Any]:
        """The job on its way to every worker."""
        try:
            return [worker.train.remote(job, address) for worker in self._workers]
        except Exception as error:  # whatever the user's own objective cannot be pickled for
            raise TrainingError(
                f"the training of adapter version {job.version} cannot be sent to the trainer's process "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); is there something in "
                "your objective that cannot be pickled?"
            ) from error


def trainer_cpus(settings: TrainingSettings) -> int:
    """CPUs that all workers take together."""
    return ceil(settings.workers * settings.cpus_per_worker)


def _errors(trainings: Sequence[asyncio.Future[Any]]) -> list[BaseException]:
    ended = [training for training in trainings if training.done() and not training.cancelled()]
    return [error for error in (training.exception() for training in ended) if error is not None]
