"""One fine-tuning: examples and an objective in, a LoRA-adapted model and its metrics out.

The loop is small on purpose: every objective shares it and the one log-probability function. It writes nothing to disk
and knows neither Ray nor the store.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.config import FineTuneSettings, LoRASettings
from ..core.errors import TrainingError
from ..core.records import TrainingExample, TrainingMetrics
from .logprobs import completion_logprobs
from .objectives import OBJECTIVES, Objective, RowLogprobs
from .student import LoadedStudent
from .tokenization import EncodedPair, collate, encode_pair

BUCKET_BATCHES = 8
"""Examples are shuffled, then sorted by their prompts' lengths within runs of so many batches: little padding."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an optimizer step tells the progress display."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    """Tokens trained on so far, padding excluded."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One example as token ids; `reference` holds log-probabilities of chosen (and rejected) under the start."""

    chosen: EncodedPair
    rejected: EncodedPair | None
    reference: tuple[float, ...] = ()

    @property
    def length(self) -> int:
        return self.chosen.length + (self.rejected.length if self.rejected else 0)


def fine_tune(
    student: LoadedStudent,
    examples: Sequence[TrainingExample],
    *,
    objective: str,
    settings: FineTuneSettings,
    lora: LoRASettings,
    seed: int,
    start: Path | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> tuple[Any, TrainingMetrics]:
    """Train a LoRA adapter and return the PEFT model that holds it, with the training's metrics.

    Args:
        student: The base model. Its own weights are left alone, but the returned model wraps it: call `unload()` on
            the PEFT model to have it back.
        examples: What to learn from; a pairwise objective needs `rejected` on each.
        objective: A name in `OBJECTIVES`.
        settings: Epochs, learning rate, batch size and the objective's own numbers.
        lora: The adapter's shape; used only without `start`.
        seed: Fixes the adapter's initial weights and the order of the examples.
        start: A verified adapter folder to go on from; None begins with a new adapter.
        on_step: Called after every optimizer step.

    Raises:
        TrainingError: there is nothing to train on, or the loss is not a finite number.
    """
    torch.manual_seed(seed)
    loss_function = OBJECTIVES[objective]
    items = _encode(student, examples, loss_function, settings.max_tokens)
    model = _adapted(student, lora, start)
    if loss_function.needs_reference:
        items = _with_reference(student, model, items, settings.batch_size)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    steps = max(1, math.ceil(settings.epochs * len(items) / settings.batch_size))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, settings.warmup_share))
    began, tokens = time.monotonic(), 0
    curve: list[dict[str, float]] = []
    model.train()
    for step, batch in enumerate(islice(_batches(items, settings.batch_size, seed), steps), start=1):
        value, metrics = _loss(student, model, batch, loss_function, settings)
        loss = value.item()
        if not math.isfinite(loss):
            raise TrainingError(f"the {objective} loss became {loss} at step {step}; lower training.learning_rate")
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        rate = float(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += sum(item.length for item in batch)
        curve.append({"step": step, "loss": loss, "learning_rate": rate, "tokens": tokens, **metrics})
        on_step(Step(step, steps, loss, rate, tokens))
    model.eval()
    tail = curve[-max(1, len(curve) // 10) :]
    final_loss = sum(row["loss"] for row in tail) / len(tail)
    return model, TrainingMetrics(len(curve), len(items), tokens, time.monotonic() - began, final_loss, tuple(curve))


def _encode(
    student: LoadedStudent, examples: Sequence[TrainingExample], objective: Objective, max_tokens: int
) -> list[_Item]:
    items = []
    for example in examples:
        chosen = encode_pair(student, example.messages, example.chosen)
        rejected = None
        if objective.pairwise:
            if example.rejected is None:
                raise TrainingError(f"example {example.id!r} has no rejected text, which this objective compares with")
            rejected = encode_pair(student, example.messages, example.rejected)
        if max(chosen.length, rejected.length if rejected else 0) <= max_tokens:
            items.append(_Item(chosen, rejected))
    if not items:
        raise TrainingError(
            f"nothing to train on: {len(examples)} examples, none within training.max_tokens={max_tokens}; "
            "hold more dialogues, widen dialogue.length_ratio or raise max_tokens"
        )
    return items


def _adapted(student: LoadedStudent, lora: LoRASettings, start: Path | None) -> Any:
    from peft import LoraConfig, PeftModel, TaskType, get_peft_model

    if start is not None:
        return PeftModel.from_pretrained(student.model, str(start), is_trainable=True)
    task_type = TaskType.CAUSAL_LM if student.kind == "causal" else TaskType.SEQ_2_SEQ_LM
    targets, layers = lora.target_modules, None
    if lora.last_layers is not None:
        # PEFT picks layers only for modules named one by one.
        targets = _linear_names(student.model) if targets == "all-linear" else targets
        layers = list(range(student.model.config.num_hidden_layers))[-lora.last_layers :]
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=layers,
        task_type=task_type,
    )
    return get_peft_model(student.model, config)


def _linear_names(model: Any) -> list[str]:
    """The names that linear modules go by within a layer, the output projection left out."""
    head = model.get_output_embeddings()
    linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and part is not head]
    return sorted({name.rpartition(".")[2] for name in linear})


def _with_reference(student: LoadedStudent, model: Any, items: list[_Item], batch_size: int) -> list[_Item]:
    """The items with their log-probabilities under the model as it stands, computed once and without gradients."""
    result = []
    model.eval()
    for start in range(0, len(items), batch_size):
        batch = items[start : start + batch_size]
        with torch.inference_mode():
            totals = _rows(student, model, batch).total.tolist()
        half = len(batch)
        result += [
            _Item(item.chosen, item.rejected, (totals[i], totals[half + i]) if item.rejected else (totals[i],))
            for i, item in enumerate(batch)
        ]
    return result


def _rows(student: LoadedStudent, model: Any, batch: Sequence[_Item]) -> RowLogprobs:
    """Chosen rows first, then rejected ones, as objectives expect them."""
    pairs = [item.chosen for item in batch] + [item.rejected for item in batch if item.rejected]
    padded = collate(student, pairs)
    return RowLogprobs(completion_logprobs(student, model, padded), padded.completion_mask)


def _loss(
    student: LoadedStudent, model: Any, batch: Sequence[_Item], objective: Objective, settings: FineTuneSettings
) -> tuple[Tensor, dict[str, float]]:
    reference = None
    if objective.needs_reference:
        values = [item.reference[0] for item in batch] + [item.reference[1] for item in batch if item.rejected]
        reference = torch.tensor(values, device=student.device)
    loss = objective(_rows(student, model, batch), reference, settings)
    return loss.value, loss.metrics


def _batches(items: Sequence[_Item], size: int, seed: int) -> Iterator[list[_Item]]:
    """Batches without end; each pass over the items is shuffled anew."""
    generator = random.Random(seed)  # noqa: S311 - an order, not a secret
    prompts: dict[tuple[int, ...], list[_Item]] = {}
    for item in items:
        prompts.setdefault(item.chosen.prompt, []).append(item)
    while True:
        groups = list(prompts.values())
        generator.shuffle(groups)
        order = [item for group in groups for item in group]
        batches = []
        for start in range(0, len(order), size * BUCKET_BATCHES):
            # By prompt length first: completions of one prompt stay together, and a batch reads their prompt once.
            run = sorted(order[start : start + size * BUCKET_BATCHES], key=lambda item: len(item.chosen.prompt))
            batches += [run[i : i + size] for i in range(0, len(run), size)]
        generator.shuffle(batches)
        yield from batches


def _rate(step: int, steps: int, warmup_share: float) -> float:
    """The learning rate's share of its peak: a linear rise, then a linear fall to nearly zero."""
    warmup = max(1, round(steps * warmup_share))
    return (step + 1) / (warmup + 1) if step < warmup else (steps - step) / max(1, steps - warmup)
