"""The trainer as a Ray actor: fine-tunes in its own process, reports each step, commits the adapter it made."""

import threading
from dataclasses import dataclass
from pathlib import Path

from ..core.config import FineTuneSettings, LoRASettings
from ..core.records import AdapterRef, TrainingExample, TrainingMetrics


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that a fine-tuning depends on."""

    student: str
    device: str
    examples: tuple[TrainingExample, ...]
    objective: str
    settings: FineTuneSettings
    lora: LoRASettings
    seed: int
    parent: AdapterRef
    adapters: str
    """The folder of the run's adapters."""
    version: int


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a fine-tuning is."""

    step: int = 0
    steps: int = 0
    loss: float = float("nan")
    tokens: int = 0


class TrainerWorker:
    """What runs inside the actor's process: one training at a time, progress readable meanwhile.

    Ray calls it from a pool of two threads, one to train and one to answer `progress`.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._busy = threading.Lock()
        self._progress = TrainingProgress()

    def progress(self) -> TrainingProgress:
        """The step that was finished last."""
        return self._progress

    def train(self, job: TrainingJob) -> tuple[AdapterRef, TrainingMetrics]:
        """Fine-tune and commit the adapter. Raises what `fine_tune` and `commit_adapter` raise."""
        import torch

        from .adapters import commit_adapter, verify_adapter
        from .fine_tune import Step, fine_tune
        from .student import load_student

        def report(step: Step) -> None:
            self._progress = TrainingProgress(step.step, step.steps, step.loss, step.tokens)

        with self._busy:
            # OpenMP's thread count belongs to the calling thread, and Ray's threads have it set to 1.
            torch.set_num_threads(self._threads)
            self._progress = TrainingProgress()
            # Loaded anew each time: a second is nothing beside a training, and no state of the last one can leak in.
            student = load_student(job.student, device=job.device)
            model, metrics = fine_tune(
                student,
                job.examples,
                objective=job.objective,
                settings=job.settings,
                lora=job.lora,
                seed=job.seed,
                start=verify_adapter(job.parent) if job.parent.version else None,
                on_step=report,
            )
            facts = {"base_model": job.student, "parent": job.parent.version, "objective": job.objective}
            return commit_adapter(model, Path(job.adapters), job.version, facts), metrics
