"""One fine-tuning: a model and examples in, the model's adapter trained with one objective.

Every objective shares the one loop (`training.loop.loop`) and the one log-probability function. Nothing here writes to
disk, or knows Ray or the store.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...core.records import TrainingExample, TrainingMetrics
from ...core.training_settings import FineTuneSettings
from ..objectives import Objective, load_objective
from ..student.device import on_gpu
from ..student.student import LoadedStudent
from .batches import LogprobScorer, mean_length
from .checkpoints import Snapshot
from .dropout import without_base_dropout
from .examples import encode_examples, hold_out, with_mismatched
from .job import TrainingProgress
from .loop import TrainLoop
from .portions import Portions
from .precision import Precision, resolve_precision
from .process_group import SINGLE, ProcessGroup
from .reference import Reference, reference_of
from .replay import Replays
from .rows import RowBatch, row_logprobs


def fine_tune(
    student: LoadedStudent,
    model: Any,
    examples: Sequence[TrainingExample],
    *,
    objective: str | Objective,
    name: str | None = None,
    settings: FineTuneSettings,
    seed: int,
    resume_from: Snapshot | None = None,
    group: ProcessGroup = SINGLE,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    on_snapshot: Callable[[Snapshot], None] = lambda _: None,
) -> TrainingMetrics:
    """Train the model's adapter in place, from where it stands, and leave the model in eval mode.

    Args:
        student: What the model was made from: its tokenizer, kind and device.
        model: A PEFT model whose adapter is trainable. As it stands it is the reference of an objective that has one.
        examples: What to learn from; how many completions each must have the objective's `needs` say.
        objective: A name in `OBJECTIVES`, `module:attribute`, or the objective itself.
        name: What it is called in progress and errors. Default: the name that was given, or the class's.
        settings: Epochs, learning rate, batch size and the objective's own numbers.
        seed: Fixes the order of the examples, which of them are held out, and dropout.
        resume_from: What `on_snapshot` was given in a call with the same arguments, and the same model but for its
            adapter's weights: training goes on from there. None begins.
        group: The processes that train together; each is given the same examples.
        on_progress: Called after every optimizer step, and while the reference is computed.
        on_snapshot: Called every `settings.save_steps` optimizer steps, and when the reference was computed.

    Raises:
        TrainingError: there is nothing to train on, an example does not fit the objective, the loss is not a finite
            number, or memory ran out over a single example.
        ConfigError: the student's device cannot compute in `settings.precision`.
        PeerLostError: one of the processes that train together is gone.
    """
    torch.manual_seed(seed + group.index)
    preparing = time.monotonic()
    loss_of = load_objective(objective) if isinstance(objective, str) else objective
    name = name or (objective if isinstance(objective, str) else type(objective).__qualname__)
    precision = Precision(resolve_precision(settings.precision, student.device), model, student.device)
    portions = Portions(settings.micro_batch_size or settings.batch_size)
    items = encode_examples(student, examples, loss_of, settings)
    parts = hold_out(items, settings.holdout_ratio, seed)
    training, holdout = map(with_mismatched, parts) if loss_of.uses_mismatched else parts
    everything = [*training, *holdout]
    reference = None
    if loss_of.needs_reference and resume_from is not None:
        reference = Reference(everything, resume_from.tensors["reference"])
    elif loss_of.needs_reference:
        reference = reference_of(
            student,
            model,
            everything,
            precision=precision,
            portions=portions,
            group=group,
            on_batch=lambda done, of: on_progress(
                TrainingProgress("reference", done, of, micro_batch_size=portions.lessened)
            ),
        )
    share_prompts = not settings.gradient_checkpointing
    replays = _replays(student, model, precision, settings)
    scorer = LogprobScorer(student, model, precision, share_prompts, reference, mean_length(training), replays)
    # A likelihood alone may well be learned under dropout; a comparison of likelihoods may not.
    comparing = loss_of.needs in {"pairs", "rankings", "drafts"}
    with (
        _checkpointing(model) if settings.gradient_checkpointing else nullcontext(),
        without_base_dropout(model) if comparing else nullcontext(),
    ):
        loop = TrainLoop(
            scorer,
            loss_of,
            name,
            settings,
            seed=seed,
            group=group,
            portions=portions,
            on_progress=on_progress,
            on_snapshot=on_snapshot,
            prepared_in=time.monotonic() - preparing,
        )
        metrics = loop.run(training, holdout, resume_from)
    kept = {item.id for item in items}
    return replace(metrics, left_out=tuple(example.id for example in examples if example.id not in kept))


def _replays(student: LoadedStudent, model: Any, precision: Precision, settings: FineTuneSettings) -> Replays | None:
    """Where passes are captured: on a GPU, and where none of what they do is decided by a tensor's value."""
    wanted = settings.cuda_graphs and not settings.gradient_checkpointing and precision.dtype != torch.float16
    if not wanted or student.kind != "causal" or not on_gpu(student.device):
        return None

    def compute(parts: Sequence[Tensor]) -> Tensor:
        with precision.compute(captured=True):
            return row_logprobs(model, RowBatch(*parts))

    return Replays(compute, [parameter for parameter in model.parameters() if parameter.requires_grad])


@contextmanager
def _checkpointing(model: Any) -> Iterator[None]:
    """While it lasts, activations are computed again in the backward pass.

    Not reentrantly, so that the layers' inputs need no gradients and those below `lora.last_layers` are spared theirs.
    """
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    try:
        yield
    finally:
        model.activation_checkpointing_disable()
