"""The trainer as a Ray actor: fine-tunes in its own process, reports each step, commits the adapter it made.

Several of them train together where the configuration wants it; the first then keeps the checkpoints and commits. All
that a training depends on is in its job, so that any process can take over what another began.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...core.records import AdapterRef, TrainingMetrics
from ..loop.job import TrainingJob, TrainingPhase, TrainingProgress

if TYPE_CHECKING:  # torch takes seconds to import, and the driver has no use for it
    from ..loop.checkpoints import Checkpoints
    from ..loop.process_group import ProcessGroup, Rendezvous

__all__ = ["TrainerWorker", "TrainingJob", "TrainingPhase", "TrainingProgress"]


class TrainerWorker:
    """What runs inside the actor's process: one training at a time, progress readable meanwhile.

    Ray calls it from a pool of two threads, one to train and one to answer `progress`.
    """

    def __init__(self, threads: int | None, *, index: int = 0, workers: int = 1, own_gpu: bool = False) -> None:
        """Take a place among so many workers.

        Args:
            threads: CPU threads. None: all cores of the machine it runs on.
            index: Which of the workers it is, from 0.
            workers: How many train together.
            own_gpu: Whether each of them has a GPU to itself.
        """
        self._threads = threads or os.cpu_count() or 1
        self._index, self._workers, self._own_gpu = index, workers, own_gpu
        self._busy = threading.Lock()
        self._progress = TrainingProgress()
        self._rendezvous: Rendezvous | None = None

    def progress(self) -> TrainingProgress:
        """The step that was finished last."""
        return self._progress

    def open_rendezvous(self) -> tuple[str, int]:
        """Listen for the other workers of the next training; returns the address to connect to."""
        from ..loop.process_group import Rendezvous

        self._rendezvous = Rendezvous(self._workers)
        return self._rendezvous.address

    def train(
        self, job: TrainingJob, address: tuple[str, int] | None = None
    ) -> tuple[AdapterRef, TrainingMetrics] | None:
        """Fine-tune, phase after phase, and commit the adapter; what a checkpoint says is done is not done again.

        An adapter that this job made before is returned as it is, with what was committed beside it of its training.

        Args:
            job: The same in all workers.
            address: What `open_rendezvous` of the first worker returned. None: there is no other worker.

        Returns:
            The adapter and how its training went; None but for the first worker.

        Raises what `fine_tune` and `commit_adapter` raise.
        """
        import torch

        from ..loop.checkpoints import Checkpoints
        from ..loop.process_group import rendezvous
        from ..student.memory import ran_out

        with self._busy:
            # OpenMP's thread count belongs to the calling thread, and Ray's threads have it set to 1.
            torch.set_num_threads(self._threads)
            self._progress = TrainingProgress()
            with rendezvous(self._index, self._workers, address, own_gpu=self._own_gpu) as group:
                try:
                    return self._train(job, group, Checkpoints(job, workers=group.count))
                except (MemoryError, RuntimeError) as error:
                    if not ran_out(error):
                        raise
                    raise TrainingError(
                        f"memory ran out beside the examples, over the weights of {job.student.model!r}, their "
                        "adapter or the optimizer: take a smaller student.model, a lower training.lora.r, or a machine "
                        f"with more memory ({error})"
                    ) from None

    def _train(
        self, job: TrainingJob, group: "ProcessGroup", checkpoints: "Checkpoints"
    ) -> tuple[AdapterRef, TrainingMetrics] | None:
        from ..adapters.adapters import commit_adapter, made_adapter, metrics_beside, verify_adapter
        from ..adapters.carried import carried_files
        from ..adapters.lora import adapted, adapter_weights, set_adapter_weights
        from ..loop.checkpoints import Snapshot
        from ..loop.fine_tune import fine_tune
        from ..objectives import as_objective, load_objective
        from ..student.published import published_base
        from ..student.student import load_student

        phases = [(number, phase) for number, phase in enumerate(job.phases, start=1) if phase.examples]
        if not phases:
            raise TrainingError(
                "nothing to train on: no phase has examples; hold more dialogues or widen preferences.length_ratio"
            )
        found = group.broadcast(made_adapter(job.adapters, job.version, job.run, job.key) if group.first else None)
        if found is not None and (known := metrics_beside(found)) is not None:
            return (found, known) if group.first else None
        # Loaded anew each time: a second is nothing beside a training, and no state of the last one can leak in.
        with job.known.kept(job.student):
            student = load_student(job.student, device=job.device, template_kwargs=job.chat_template_kwargs)
        start = verify_adapter(job.parent) if job.parent.version else None
        model = adapted(student, job.lora, seed=job.seed, start=start)
        resumed = group.broadcast(checkpoints.load() if group.first else None)
        metrics: list[TrainingMetrics] = []
        if resumed is not None:
            set_adapter_weights(model, resumed.tensors)
            metrics = [TrainingMetrics.from_dict(facts) for facts in resumed.facts["done"]]

        def save(snapshot: Snapshot | None) -> None:
            """Save a checkpoint; `None` between phases."""
            if not group.first or not job.settings.save_steps:
                return
            facts = {"done": [asdict(one) for one in metrics], "loop": snapshot.facts if snapshot else None}
            checkpoints.save(Snapshot(facts, snapshot.tensors if snapshot else adapter_weights(model)))

        for _, phase in phases[len(metrics) :]:
            within = resumed is not None and resumed.facts["loop"] is not None
            metrics.append(
                fine_tune(
                    student,
                    model,
                    phase.examples,
                    # Imported here: the trainer may run on another node than what made the job.
                    objective=load_objective(phase.objective, phase.kwargs)
                    if phase.given is None
                    else as_objective(phase.given, where="training.objective"),
                    name=phase.objective,
                    settings=job.settings,
                    seed=job.seed,
                    resume_from=Snapshot(resumed.facts["loop"], resumed.tensors)
                    if resumed is not None and within
                    else None,
                    group=group,
                    on_progress=self._report,
                    on_snapshot=save,
                )
            )
            resumed = None
            save(None)
        if not group.first:
            return None
        together = concat_metrics(metrics, [number for number, _ in phases])
        if found is None:
            objective = "-".join(phase.objective for _, phase in phases)
            facts = {
                "run": job.run,
                "training": job.key,
                "parent": job.parent.version,
                "objective": objective,
            }
            base = published_base(job.student)
            found = commit_adapter(
                model,
                job.adapters,
                job.version,
                facts,
                metrics=together,
                base=base,
                carries=carried_files(
                    student,
                    base,
                    job.prompts,
                    version=job.version,
                    objective=objective,
                    rank=model.active_peft_config.r,
                ),
            )
        return found, together

    def _report(self, progress: TrainingProgress) -> None:
        self._progress = progress


def concat_metrics(metrics: Sequence[TrainingMetrics], numbers: Sequence[int]) -> TrainingMetrics:
    """Metrics of a training's phases as one: steps and tokens add up, losses are the last phase's.

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
        left_out=tuple(name for phase in metrics for name in phase.left_out),
        held_out=sum(phase.held_out for phase in metrics),
        stopped_early=any(phase.stopped_early for phase in metrics),
        best_step=None if last.best_step is None else last.best_step + before,
        micro_batch_size=min((one.micro_batch_size for one in metrics if one.micro_batch_size), default=None),
    )
