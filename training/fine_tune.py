"""One fine-tuning: a model and examples in, the model's adapter trained with one objective.

The loop is small on purpose: every objective shares it and the one log-probability function. It writes nothing to disk
but the reference, and knows neither Ray nor the store.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..core.config import FineTuneSettings
from ..core.errors import TrainingError
from ..core.records import TrainingExample, TrainingMetrics
from .batches import Scorer, endless_batches, joined, mean_length
from .dropout import without_base_dropout
from .early_stopping import EarlyStopping
from .examples import Item, encode_examples, hold_out, with_mismatched
from .job import TrainingProgress
from .objectives import OBJECTIVES, Objective
from .precision import Precision, resolve_precision
from .reference import reference_of
from .schedule import rate, steps_of
from .student import LoadedStudent


def fine_tune(
    student: LoadedStudent,
    model: Any,
    examples: Sequence[TrainingExample],
    *,
    objective: str,
    settings: FineTuneSettings,
    seed: int,
    reference_file: Path | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
) -> TrainingMetrics:
    """Train the model's adapter in place, from where it stands, and leave the model in eval mode.

    Args:
        student: What the model was made from: its tokenizer, kind and device.
        model: A PEFT model whose adapter is trainable. As it stands it is the reference of an objective that has one.
        examples: What to learn from; how many completions each must have the objective's `needs` say.
        objective: A name in `OBJECTIVES`.
        settings: Epochs, learning rate, batch size and the objective's own numbers.
        seed: Fixes the order of the examples, which of them are held out, and dropout.
        reference_file: Where the reference is kept and found again; None computes it anew.
        on_progress: Called after every optimizer step, and while the reference is computed.

    Raises:
        TrainingError: there is nothing to train on, an example does not fit the objective, or the loss is not a finite
            number.
        ConfigError: the student's device cannot compute in `settings.precision`.
    """
    torch.manual_seed(seed)
    began = time.monotonic()
    loss_of = OBJECTIVES[objective]
    precision = Precision(resolve_precision(settings.precision, student.device), model, student.device)
    items = encode_examples(student, examples, loss_of, settings)
    parts = hold_out(items, settings.holdout_share, seed)
    training, held = map(with_mismatched, parts) if loss_of.uses_mismatched else parts
    reference = None
    if loss_of.needs_reference:
        reference = reference_of(
            student,
            model,
            [*training, *held],
            precision=precision,
            batch_size=settings.micro_batch_size or settings.batch_size,
            file=reference_file,
            on_batch=lambda done, of: on_progress(TrainingProgress("reference", done, of)),
        )
    share_prompts = not settings.gradient_checkpointing
    scorer = Scorer(student, model, precision, share_prompts, reference, mean_length(training))
    # A likelihood alone may well be learned under dropout; a comparison of likelihoods may not.
    comparing = loss_of.needs in {"pairs", "rankings"}
    with (
        _checkpointing(model) if settings.gradient_checkpointing else nullcontext(),
        without_base_dropout(model) if comparing else nullcontext(),
    ):
        metrics = _Loop(scorer, loss_of, objective, settings, seed, on_progress).run(training, held)
    return replace(metrics, seconds=time.monotonic() - began, left_out=len(examples) - len(items))


class _Loop:
    """The optimizer steps of one fine-tuning."""

    def __init__(
        self,
        scorer: Scorer,
        loss_of: Objective,
        name: str,
        settings: FineTuneSettings,
        seed: int,
        on_progress: Callable[[TrainingProgress], None],
    ) -> None:
        self._scorer, self._loss_of, self._name, self._settings = scorer, loss_of, name, settings
        self._seed, self._on_progress = seed, on_progress
        self._parameters = [parameter for parameter in scorer.model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=settings.learning_rate, weight_decay=0.0)

    def run(self, training: Sequence[Item], held: Sequence[Item]) -> TrainingMetrics:
        """Train, and stop early where `held` says so."""
        began, settings, model = time.monotonic(), self._settings, self._scorer.model
        steps = steps_of(settings.epochs, len(training), settings.batch_size)
        stopping = EarlyStopping(self._parameters, settings.patience) if held else None
        if stopping:
            stopping.look(0, self._holdout_loss(held))
        curve: list[dict[str, float]] = []
        tokens, stopped = 0, False
        model.train()
        batches = islice(endless_batches(training, settings.batch_size, self._seed), steps)
        for step, batch in enumerate(batches, start=1):
            tokens += sum(item.length for item in batch)
            row = {"step": step, "phase": 1, **self._step(step, steps, batch), "tokens": tokens}
            curve.append(row)
            if stopping and (step % settings.eval_steps == 0 or step == steps):
                row["holdout_loss"] = self._holdout_loss(held)
                stopped = stopping.look(step, row["holdout_loss"]) and step < steps
            self._on_progress(TrainingProgress(self._name, step, steps, row["loss"], tokens))
            if stopped:
                break
        if stopping:
            stopping.restore()
        model.eval()
        tail = curve[-max(1, len(curve) // 10) :]
        return TrainingMetrics(
            steps=len(curve),
            examples=len(training) + len(held),
            tokens=tokens,
            seconds=time.monotonic() - began,
            final_loss=sum(row["loss"] for row in tail) / len(tail),
            curve=tuple(curve),
            held_out=len(held),
            stopped_early=stopped,
            best_step=stopping.best_step if stopping else None,
            holdout_loss=stopping.best_loss if stopping else None,
        )

    def _step(self, step: int, steps: int, batch: Sequence[Item]) -> dict[str, float]:
        """One optimizer step; returns the loss before it, the learning rate, and what the objective adds."""
        metrics = self._loss(batch, backward=True)
        if not math.isfinite(metrics["loss"]):
            raise TrainingError(f"the {self._name} loss became {metrics['loss']} at step {step}; lower learning_rate")
        learning_rate = self._settings.learning_rate * rate(step - 1, steps, self._settings.warmup_share)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._scorer.precision.step(self._optimizer, self._parameters, self._settings.max_grad_norm)
        return {"learning_rate": learning_rate, **metrics}

    def _loss(self, batch: Sequence[Item], *, backward: bool) -> dict[str, float]:
        """The batch's loss and metrics, by parts of `micro_batch_size`; with `backward` its gradients are added up.

        Each part's mean counts by its share of what the objective's mean is over, so that parts of any sizes add up to
        the loss of the whole batch: an example weighs the same in every part, for SFT a token does.
        """
        size = self._settings.micro_batch_size or self._settings.batch_size
        parts = [batch[start : start + size] for start in range(0, len(batch), size)]
        beside = None
        if batch[0].has_mismatched:
            measured = [self._scorer.score_mismatched(part) for part in parts]
            beside = measured[0]
            for rows in measured[1:]:
                beside = joined(beside, rows)
        totals: dict[str, float] = {}
        for part in parts:
            rows = self._scorer.score(part)
            loss = self._loss_of(joined(rows, beside) if beside else rows, self._settings)
            share = self._weight(part) / self._weight(batch)
            if backward:
                self._scorer.precision.backward(loss.value * share)
            for name, value in {"loss": loss.value.item(), **loss.metrics}.items():
                totals[name] = totals.get(name, 0.0) + share * value
        return totals

    def _weight(self, items: Sequence[Item]) -> int:
        return sum(item.ranked_tokens for item in items) if self._loss_of.mean_over == "tokens" else len(items)

    @torch.no_grad()
    def _holdout_loss(self, held: Sequence[Item]) -> float:
        model = self._scorer.model
        was_training = model.training
        model.eval()
        loss = self._loss(held, backward=False)["loss"]
        model.train(was_training)
        return loss


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
