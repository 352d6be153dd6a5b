"""The optimizer steps of one fine-tuning, and what of them is kept so that they can be gone on with.

Given the same batches and the same state, a step is the same to the last bit on a CPU: a training that was interrupted
and went on from a snapshot makes the adapter that it would have made.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ...core.errors import TrainingError
from ...core.records import TrainingMetrics
from ...core.training_settings import FineTuneSettings
from ..adapters.lora import adapter_weights, set_adapter_weights
from ..objectives import Objective, RowLogprobs, as_loss
from ..student.device import on_gpu
from ..student.memory import ran_out
from .batches import LogprobScorer, concat, endless_batches
from .checkpoints import Snapshot
from .early_stopping import EarlyStopping
from .examples import EncodedExample
from .job import TrainingProgress
from .portions import Portions
from .process_group import ProcessGroup
from .schedule import rate, steps_of

T = TypeVar("T")
READ_STEPS = 10
"""Steps between two looks at the loss on a GPU, where looking is waiting for all that was launched."""


class _Unread(NamedTuple):
    """A step whose loss nobody has looked at."""

    step: int
    tokens: int
    learning_rate: float
    parts: "Parts"


Parts = list[tuple[float, Mapping[str, float | Tensor]]]
"""What was found of each part of a batch, and the share of the whole that it is."""


class TrainLoop:
    """The optimizer steps of one fine-tuning. Between two steps its state can be saved, and restored later."""

    def __init__(
        self,
        scorer: LogprobScorer,
        loss_of: Objective,
        name: str,
        settings: FineTuneSettings,
        *,
        seed: int,
        group: ProcessGroup,
        portions: Portions,
        on_progress: Callable[[TrainingProgress], None],
        on_snapshot: Callable[[Snapshot], None],
        prepared_in: float,
    ) -> None:
        """`prepared_in` is how many seconds it took to get here, which count as the training's."""
        self._scorer, self._loss_of, self._name, self._settings = scorer, loss_of, name, settings
        self._seed, self._group, self._portions = seed, group, portions
        self._on_progress, self._on_snapshot = on_progress, on_snapshot
        self._parameters = [parameter for parameter in scorer.model.parameters() if parameter.requires_grad]
        waits = on_gpu(scorer.student.device)
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=0.0, fused=True if waits else None
        )
        if scorer.replays is not None:
            for parameter in self._parameters:
                parameter.grad = torch.zeros_like(parameter)
        self._read_every = READ_STEPS if waits else 1
        self._unread: list[_Unread] = []
        self._stopping: EarlyStopping | None = None
        self._curve: list[dict[str, float]] = []
        self._tokens = 0
        self._began = time.monotonic() - prepared_in

    def run(
        self, training: Sequence[EncodedExample], holdout: Sequence[EncodedExample], resume_from: Snapshot | None
    ) -> TrainingMetrics:
        """Train, from the state in `resume_from` if there is one, and stop early by the loss on `holdout`."""
        settings, model = self._settings, self._scorer.model
        steps = settings.steps or steps_of(settings.epochs, len(training), settings.batch_size)
        stopping = self._stopping = EarlyStopping(self._parameters, settings.patience) if holdout else None
        if resume_from is not None:
            self._resume(resume_from)
        elif stopping:
            stopping.update(0, self._evaluate(holdout))  # the start may prove better than all that comes of it
        if resume_from is None and self._scorer.reference is not None and settings.save_steps:
            self._on_snapshot(self._snapshot())  # so that the reference is computed once
        stopped = False
        model.train()
        batches = endless_batches(training, settings.batch_size, self._seed)
        done = len(self._curve)
        # The order of batches depends on the seed alone, so a resumed training skips those it has done.
        for step, batch in enumerate(islice(batches, done, steps), start=done + 1):
            self._tokens += sum(item.length for item in batch)
            looks = bool(stopping) and (step % settings.eval_steps == 0 or step == steps)
            saves = bool(settings.save_steps) and step % (settings.save_steps or 1) == 0 and step < steps
            self._update(step, steps, batch, read=looks or saves or step == steps)
            if stopping and looks:
                held_out = self._curve[-1]["holdout_loss"] = self._evaluate(holdout)
                stopped = stopping.update(step, held_out) and step < steps
            loss = self._curve[-1]["loss"] if self._curve else math.nan
            self._on_progress(TrainingProgress(self._name, step, steps, loss, self._tokens, self._portions.lessened))
            if stopped:
                break
            if saves:
                self._on_snapshot(self._snapshot())
        if stopping:
            stopping.restore()
        model.eval()
        return self._metrics(training, holdout, stopped)

    def _metrics(
        self, training: Sequence[EncodedExample], holdout: Sequence[EncodedExample], stopped: bool
    ) -> TrainingMetrics:
        tail = self._curve[-max(1, len(self._curve) // 10) :]
        return TrainingMetrics(
            steps=len(self._curve),
            examples=len(training) + len(holdout),
            tokens=self._tokens,
            seconds=time.monotonic() - self._began,
            final_loss=sum(row["loss"] for row in tail) / len(tail),
            curve=tuple(self._curve),
            held_out=len(holdout),
            stopped_early=stopped,
            best_step=self._stopping.best_step if self._stopping else None,
            holdout_loss=self._stopping.best_loss if self._stopping else None,
            micro_batch_size=self._portions.lessened,
        )

    def _update(self, step: int, steps: int, batch: Sequence[EncodedExample], *, read: bool) -> None:
        """One optimizer step, and with `read` what was found before it, at the latest."""
        learning_rate = self._settings.learning_rate * rate(step - 1, steps, self._settings.warmup_ratio)
        self._unread.append(_Unread(step, self._tokens, learning_rate, self._loss(batch, backward=True)))
        if read or len(self._unread) >= self._read_every:
            self._read()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._group.all_reduce(self._parameters)
        self._scorer.precision.step(
            self._optimizer,
            self._parameters,
            self._settings.max_grad_norm,
            keep_gradients=self._scorer.replays is not None,
        )

    def _read(self) -> None:
        """Look at the losses since the last look: they become rows of the curve."""
        unread, self._unread = self._unread, []
        found = self._numbers([each.parts for each in unread])
        for each, metrics in zip(unread, found, strict=True):
            if not math.isfinite(metrics["loss"]):
                raise TrainingError(
                    f"the {self._name} loss became {metrics['loss']} at step {each.step}; lower learning_rate"
                )
            row: dict[str, float] = {"step": each.step, "phase": 1, "learning_rate": each.learning_rate}
            self._curve.append({**row, **metrics, "tokens": each.tokens})

    def _numbers(self, batches: Sequence[Parts]) -> list[dict[str, float]]:
        """The loss and metrics of each batch, all processes' shares of it together."""
        tensors = [
            value.double()
            for parts in batches
            for _, found in parts
            for value in found.values()
            if isinstance(value, Tensor)
        ]
        # One copy for all: each would wait for the device by itself.
        values = iter(torch.stack([tensor.reshape(()) for tensor in tensors]).tolist() if tensors else [])
        sums = []
        for parts in batches:
            totals: dict[str, float] = {}
            for share, measured in parts:
                for name, value in measured.items():
                    number = next(values) if isinstance(value, Tensor) else value
                    totals[name] = totals.get(name, 0.0) + share * number
            sums.append(totals)
        return [_added_up(shares) for shares in zip(*self._group.all_gather(sums), strict=True)]

    def _loss(self, batch: Sequence[EncodedExample], *, backward: bool) -> Parts:
        """What is found of each part; with `backward` the gradients of this process's share are added up.

        Where memory runs out, in whichever process, all take smaller parts, from the same random numbers. The sum is
        the same but for rounding, and for which element is dropped where there is dropout.

        Raises:
            TrainingError: it ran out over a single example.
        """
        while True:
            random = self._random()
            if (found := self._attempt(batch, backward=backward)) is not None:
                return found
            self._optimizer.zero_grad(set_to_none=self._scorer.replays is None)
            self._set_random(random)
            self._portions.lessen()

    def _attempt(self, batch: Sequence[EncodedExample], *, backward: bool) -> Parts | None:
        """What is found of each part; None where memory ran out, in whichever process.

        Each part's mean counts by its share of what the objective's mean is over, so that parts of any sizes, in
        whichever process, add up to the loss of the whole batch: an example weighs the same in every part, for SFT a
        token does.
        """
        own, size = self._group.share(batch), self._portions.size
        parts = [own[start : start + size] for start in range(0, len(own), size)]
        # KTO's estimate is one number of the whole batch, so each part is given every process's mismatched rows.
        beside = None
        if batch[0].has_mismatched:
            scored = _unless_memory_runs_out(lambda: [self._scorer.score_mismatched(part) for part in parts])
            measured = [scored]
            if self._group.count > 1:
                measured = self._group.all_gather(scored and [rows.to("cpu") for rows in scored])
            if None in measured:
                return None
            beside, *others = [rows.to(self._scorer.student.device) for several in measured for rows in several or ()]
            for rows in others:
                beside = concat(beside, rows)
        found = _unless_memory_runs_out(lambda: self._sum(parts, self._weight(batch), beside, backward=backward))
        return None if None in self._group.all_gather(None if found is None else len(found)) else found

    def _sum(
        self, parts: Sequence[Sequence[EncodedExample]], weight: int, beside: RowLogprobs | None, *, backward: bool
    ) -> Parts:
        measured: Parts = []
        for part in parts:
            rows = self._scorer.score(part)
            found = self._loss_of(concat(rows, beside) if beside else rows, self._settings)
            loss = as_loss(found, type(self._loss_of).__qualname__)
            share = self._weight(part) / weight
            if backward:
                self._scorer.precision.backward(loss.value * share)
            measured.append((share, {"loss": loss.value.detach(), **loss.metrics}))
        return measured

    def _weight(self, items: Sequence[EncodedExample]) -> int:
        return sum(item.ranked_tokens for item in items) if self._loss_of.mean_over == "tokens" else len(items)

    @torch.no_grad()
    def _evaluate(self, holdout: Sequence[EncodedExample]) -> float:
        model = self._scorer.model
        was_training = model.training
        model.eval()
        [found] = self._numbers([self._loss(holdout, backward=False)])
        model.train(was_training)
        return found["loss"]

    def _snapshot(self) -> Snapshot:
        facts: dict[str, Any] = {
            "tokens": self._tokens,
            "curve": self._curve,
            "seconds": time.monotonic() - self._began,
            "precision": self._scorer.precision.state(),
            "micro_batch_size": self._portions.size,
        }
        tensors = adapter_weights(self._scorer.model)
        for place, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": value.detach().cpu().clone() for name, value in state.items()}
        if self._stopping:
            facts["stopping"], best = self._stopping.state()
            tensors |= {f"best.{place}": value.cpu().clone() for place, value in enumerate(best)}
        if self._scorer.reference is not None:
            tensors["reference"] = self._scorer.reference.logprobs
        for index, states in enumerate(self._group.all_gather(self._random())):
            tensors |= {f"random.{index}.{device}": state for device, state in states.items()}
        return Snapshot(facts, tensors)

    def _resume(self, resume_from: Snapshot) -> None:
        facts, tensors = resume_from
        self._tokens, self._curve = facts["tokens"], list(facts["curve"])
        self._began -= facts["seconds"]
        self._scorer.precision.resume(facts["precision"])
        set_adapter_weights(self._scorer.model, tensors)
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer", tensors).items():
            place, _, what = name.partition(".")
            states.setdefault(int(place), {})[what] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
        if self._stopping:
            best = _under("best", tensors)
            self._stopping.resume(facts["stopping"], [best[str(place)] for place in range(len(best))])
        self._set_random(_under(f"random.{self._group.index}", tensors))
        self._portions.limit(facts["micro_batch_size"])

    def _random(self) -> dict[str, Tensor]:
        device = self._scorer.student.device
        states = {"cpu": torch.get_rng_state()}
        return states | {"cuda": torch.cuda.get_rng_state(device)} if device.startswith("cuda") else states

    def _set_random(self, states: dict[str, Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self._scorer.student.device)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _unless_memory_runs_out(work: Callable[[], T]) -> T | None:
    """What work comes to; None where memory runs out over it, and nothing holds what it had begun."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        return None


def _added_up(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    first, *others = parts
    totals = dict(first)
    for part in others:
        for name, value in part.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals
