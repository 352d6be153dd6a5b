"""A training that runs out of memory goes on with less at a time, and comes to the same."""

import copy
from typing import Any, TypeVar

import pytest
import torch

from openmic.core.errors import TrainingError
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.lora import adapted, adapter_weights
from openmic.training.loop.checkpoints import Snapshot
from openmic.training.loop.fine_tune import fine_tune
from openmic.training.loop.job import TrainingProgress
from openmic.training.loop.process_group import SINGLE, ProcessGroup
from openmic.training.objectives import OBJECTIVES

from ..conftest import BuildStudent
from ..short_memory import memory_for
from .test_loop import EXAMPLES

T = TypeVar("T")


class Trained:
    """A training with dropout where there is memory for so many rows."""

    def __init__(
        self,
        student: BuildStudent,
        objective: str,
        rows: int,
        group: ProcessGroup = SINGLE,
        resume_from: Snapshot | None = None,
        **changes: Any,
    ) -> None:
        one = student("llama")
        model = adapted(one, LoRASettings(r=2, dropout=0.2), seed=1)
        self.told: list[int | None] = []
        self.snapshots: list[Snapshot] = []

        def note(progress: TrainingProgress) -> None:
            if progress.micro_batch_size not in self.told:
                self.told.append(progress.micro_batch_size)

        with memory_for(one.model, rows) as self.passes:
            self.metrics = fine_tune(
                one,
                model,
                EXAMPLES[OBJECTIVES[objective].needs],
                objective=objective,
                settings=FineTuneSettings(**{"epochs": 2.0, "batch_size": 4, "save_steps": 1, **changes}),
                seed=1,
                group=group,
                resume_from=resume_from,
                on_progress=note,
                on_snapshot=lambda snapshot: self.snapshots.append(copy.deepcopy(snapshot)),
            )
        self.weights = adapter_weights(model)

    def differs_from(self, other: "Trained") -> float:
        """How far the weights are apart at most."""
        return max(float((self.weights[name] - other.weights[name]).abs().max()) for name in self.weights)


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto"])
def test_it_goes_on_with_smaller_parts_and_is_bit_for_bit_one_that_was_told_to(
    student: BuildStudent, objective: str
) -> None:
    rows = 2 if objective == "sft" else 4
    short, told_to = Trained(student, objective, rows), Trained(student, objective, 10**6, micro_batch_size=2)
    assert max(short.passes) > rows
    assert short.metrics.micro_batch_size == 2
    assert told_to.metrics.micro_batch_size is None
    assert short.told[-1] == 2
    assert short.differs_from(told_to) == 0
    assert [{**row} for row in short.metrics.curve] == [{**row} for row in told_to.metrics.curve]


def test_what_memory_allows_is_remembered(student: BuildStudent) -> None:
    short = Trained(student, "sft", 2)
    assert sum(rows > 2 for rows in short.passes) == 1
    again = Trained(student, "sft", 2, resume_from=short.snapshots[0])
    assert sum(rows > 2 for rows in again.passes) == 0
    assert again.differs_from(short) == 0


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_a_single_example_that_is_too_much_names_the_keys(student: BuildStudent, objective: str) -> None:
    with pytest.raises(TrainingError, match=r"^memory ran out over a single .*gradient_checkpointing.*max_length"):
        Trained(student, objective, 0)


class BesideOneThatRanOut(ProcessGroup):
    """Two processes, of which the other runs out of memory once."""

    def __init__(self) -> None:
        super().__init__()
        self.gathered = 0

    def all_gather(self, value: T) -> list[T]:
        self.gathered += 1
        nothing: Any = None
        return [value, nothing] if self.gathered == 1 else [value]


def test_where_another_process_runs_out_all_take_less(student: BuildStudent) -> None:
    beside = Trained(student, "sft", 10**6, BesideOneThatRanOut())
    assert beside.metrics.micro_batch_size == 2
    assert beside.differs_from(Trained(student, "sft", 10**6, micro_batch_size=2)) == 0


def test_other_failures_are_not_taken_for_it(student: BuildStudent) -> None:
    one = student("llama")
    one.model.register_forward_pre_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        fine_tune(
            one,
            adapted(one, LoRASettings(r=2), seed=1),
            EXAMPLES["demonstrations"],
            objective="sft",
            settings=FineTuneSettings(),
            seed=1,
        )
