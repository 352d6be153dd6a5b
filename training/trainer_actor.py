"""The trainer as a Ray actor: fine-tunes in its own process, reports each step, commits the adapter it made."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import TrainingError
from ..core.records import AdapterRef, TrainingMetrics
from .job import TrainingJob, TrainingPhase, TrainingProgress

__all__ = ["TrainerWorker", "TrainingJob", "TrainingPhase", "TrainingProgress"]


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
        """Fine-tune, phase after phase, and commit the adapter.

        Raises what `fine_tune` and `commit_adapter` raise.
        """
        import torch

        from .adapters import commit_adapter, verify_adapter
        from .fine_tune import fine_tune
        from .lora import adapted
        from .student import load_student

        def report(progress: TrainingProgress) -> None:
            self._progress = progress

        with self._busy:
            # OpenMP's thread count belongs to the calling thread, and Ray's threads have it set to 1.
            torch.set_num_threads(self._threads)
            self._progress = TrainingProgress()
            phases = [(number, phase) for number, phase in enumerate(job.phases, start=1) if phase.examples]
            if not phases:
                raise TrainingError(
                    "nothing to train on: no phase has examples; hold more dialogues or widen preferences.length_ratio"
                )
            # Loaded anew each time: a second is nothing beside a training, and no state of the last one can leak in.
            student = load_student(job.student, device=job.device)
            start = verify_adapter(job.parent) if job.parent.version else None
            model = adapted(student, job.lora, seed=job.seed, start=start)
            metrics = [
                fine_tune(
                    student,
                    model,
                    phase.examples,
                    objective=phase.objective,
                    settings=job.settings,
                    seed=job.seed,
                    reference_file=_numbered(job.reference_file, number),
                    on_progress=report,
                )
                for number, phase in phases
            ]
            objectives = [phase.objective for _, phase in phases]
            facts = {"base_model": job.student, "parent": job.parent.version, "objective": "-".join(objectives)}
            ref = commit_adapter(model, job.adapters, job.version, facts)
            return ref, joined_metrics(metrics, [number for number, _ in phases])


def joined_metrics(metrics: Sequence[TrainingMetrics], numbers: Sequence[int]) -> TrainingMetrics:
    """The metrics of a training's phases as one; steps and tokens count on, and the last phase's losses are its own.

    Args:
        metrics: Of each phase that was carried out.
        numbers: What each of them is called in the curve.
    """
    curve: list[dict[str, float]] = []
    steps = tokens = 0
    for number, phase in zip(numbers, metrics, strict=True):
        curve += [
            {**row, "step": row["step"] + steps, "phase": number, "tokens": row["tokens"] + tokens}
            for row in phase.curve
        ]
        before, steps, tokens = steps, steps + phase.steps, tokens + phase.tokens
    last = metrics[-1]
    return replace(
        last,
        steps=steps,
        tokens=tokens,
        curve=tuple(curve),
        examples=sum(phase.examples for phase in metrics),
        seconds=sum(phase.seconds for phase in metrics),
        left_out=sum(phase.left_out for phase in metrics),
        held_out=sum(phase.held_out for phase in metrics),
        stopped_early=any(phase.stopped_early for phase in metrics),
        best_step=None if last.best_step is None else last.best_step + before,
    )


def _numbered(file: Path | None, phase: int) -> Path | None:
    return file if file is None or phase == 1 else file.with_stem(f"{file.stem}-{phase}")
