"""What the loop promises beside learning: parts of batches add up, nothing piles up, and it knows when to stop."""

import gc
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from openmic.core.records import TrainingMetrics
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.lora import adapted
from openmic.training.loop.fine_tune import fine_tune
from openmic.training.loop.job import TrainingProgress
from openmic.training.objectives import OBJECTIVES
from openmic.training.student.student import LoadedStudent

from ..conftest import BuildStudent
from ..factories import demonstration, draft, preference

SAID = ("Late? Posthumous.", "It was a card from me to me, and to my brother.", "Umbrellas.", "Soup of the day.", "No.")
EXAMPLES = {
    "demonstrations": [demonstration(i, text) for i, text in enumerate(SAID)],
    "chosen": [demonstration(i, text) for i, text in enumerate(SAID)],
    "pairs": [preference(i, text, SAID[i - 2]) for i, text in enumerate(SAID)],
    "rankings": [preference(i, text, *SAID[:i], "Hm.", target=SAID[i - 1]) for i, text in enumerate(SAID)],
    "drafts": [draft(i, 3 + 2 * i) for i in range(len(SAID))],
}


class Watched:
    """A fine-tuning whose gradients are read before the first step takes and clips them."""

    def __init__(self, student: LoadedStudent, objective: str, **changes: Any) -> None:
        self.gradients: dict[str, torch.Tensor] = {}
        model = adapted(student, LoRASettings(r=2), seed=1)
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.mul_(0.7)  # weights as wide as the tests' students have magnify rounding
                if "lora_B" in name:  # away from the start, where many terms are zero
                    value.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
        numbers = {"epochs": 1.0, "batch_size": 5, "max_grad_norm": 1e9} | changes

        def before(*_: Any) -> None:
            if not self.gradients:
                self.gradients = {
                    name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None
                }

        hook = register_optimizer_step_pre_hook(before)
        try:
            self.metrics: TrainingMetrics = fine_tune(
                student,
                model,
                EXAMPLES[OBJECTIVES[objective].needs],
                objective=objective,
                settings=FineTuneSettings(**numbers),
                seed=1,
            )
        finally:
            hook.remove()

    def distance(self, other: "Watched") -> float:
        """Of the two gradients, relative to the length of this one."""
        mine, theirs = (
            torch.cat([watched.gradients[name].flatten() for name in self.gradients]) for watched in (self, other)
        )
        assert mine.abs().max() > 1e-2
        return float((mine - theirs).norm() / mine.norm())


@pytest.mark.parametrize("name", ["llama", "t5"])
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_parts_of_a_batch_add_up_to_it(student: BuildStudent, name: str, objective: str) -> None:
    whole = Watched(student(name), objective)
    for size in (1, 2):
        parts = Watched(student(name), objective, micro_batch_size=size)
        assert parts.distance(whole) < 1e-5
        for key, value in whole.metrics.curve[0].items():
            if key != "reward_accuracy":  # at its start a model prefers neither text, but for rounding
                assert parts.metrics.curve[0][key] == pytest.approx(value, abs=1e-5), key


def test_parts_see_the_divergence_of_the_whole_batch(student: BuildStudent) -> None:
    changes = {"epochs": 6.0, "learning_rate": 1e-3, "undesirable_weight": 0.1}
    whole, parts = (
        Watched(student("llama"), "kto", **changes, micro_batch_size=size).metrics.curve for size in (None, 2)
    )
    assert whole[-1]["kl"] > 0.05
    for one, other in zip(whole, parts, strict=True):
        assert other["kl"] == pytest.approx(one["kl"], rel=1e-2, abs=1e-3)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
@pytest.mark.parametrize("objective", ["dpo", "brio", "kto"])
def test_checkpointing_changes_no_gradient(student: BuildStudent, name: str, objective: str) -> None:
    kept = Watched(student(name), objective)
    one = student(name)
    again = Watched(one, objective, gradient_checkpointing=True)
    assert again.distance(kept) < 1e-5
    assert not any(getattr(part, "gradient_checkpointing", False) for part in one.model.modules())


def test_checkpointing_computes_activations_twice(student: BuildStudent) -> None:
    def passes(**changes: Any) -> int:
        one, seen = student("t5"), list[bool]()
        one.model.encoder.block[0].layer[0].layer_norm.register_forward_hook(
            lambda *_: seen.append(torch.is_grad_enabled())
        )
        Watched(one, "simpo", **changes)
        return sum(seen)

    assert passes() == 1
    assert passes(gradient_checkpointing=True) == 2


def test_a_comparison_is_one_without_the_base_models_dropout(student: BuildStudent) -> None:
    one = student("bart")
    assert one.model.config.dropout > 0
    before = [(part, dict(vars(part))) for part in one.model.modules()]
    start = Watched(one, "dpo", nll_weight=0.0, learning_rate=1e-9)
    again = Watched(student("bart"), "dpo", nll_weight=0.0, learning_rate=1e-9, epochs=2.0)
    assert start.metrics.curve[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
    assert again.metrics.curve[1]["loss"] == pytest.approx(0.693147, abs=1e-4)
    for part, attributes in before:
        for name in ("p", "dropout", "attention_dropout", "activation_dropout"):
            assert getattr(part, name, None) == attributes.get(name, getattr(part, name, None))


@pytest.mark.slow
def test_no_tensor_is_left_behind_by_a_step(student: BuildStudent) -> None:
    one, counts = student("llama"), list[int]()

    def count(progress: TrainingProgress) -> None:
        if progress.phase == "dpo" and progress.step in {3, 12}:
            gc.collect()
            counts.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))

    fine_tune(
        one,
        adapted(one, LoRASettings(r=2), seed=1),
        EXAMPLES["pairs"],
        objective="dpo",
        settings=FineTuneSettings(epochs=12.0, batch_size=5, micro_batch_size=3),
        seed=1,
        on_progress=count,
    )
    assert len(counts) == 2
    assert counts[1] <= counts[0]


STOPPING: dict[str, Any] = {
    "epochs": 40.0,
    "batch_size": 3,
    "learning_rate": 2e-2,
    "holdout_ratio": 0.25,
    "eval_steps": 3,
    "patience": 2,
}


def stopped(student: LoadedStudent, **changes: Any) -> tuple[Any, TrainingMetrics]:
    model = adapted(student, LoRASettings(r=4), seed=1)
    numbers = FineTuneSettings(**(STOPPING | changes))
    metrics = fine_tune(student, model, EXAMPLES["demonstrations"], objective="sft", settings=numbers, seed=3)
    return model, metrics


def test_training_stops_when_the_held_out_loss_no_longer_falls(student: BuildStudent) -> None:
    """Texts that have nothing in common: what is learned of some does not help with the others for long."""
    _, metrics = stopped(student("llama"))
    looks = {int(row["step"]): row["holdout_loss"] for row in metrics.curve if "holdout_loss" in row}
    assert metrics.stopped_early
    assert metrics.held_out > 0
    assert metrics.examples == len(SAID)
    assert list(looks) == list(range(3, metrics.steps + 1, 3))
    assert metrics.best_step == metrics.steps - 2 * 3
    assert metrics.holdout_loss is not None
    assert all(metrics.holdout_loss <= loss for loss in looks.values())
    assert metrics.best_step == 0 or looks[metrics.best_step] == metrics.holdout_loss


def test_the_best_state_is_the_one_that_is_kept(student: BuildStudent) -> None:
    one, states = student("llama"), list[list[torch.Tensor]]()
    model = adapted(one, LoRASettings(r=4), seed=1)

    def weights() -> list[torch.Tensor]:
        return [value.detach().clone() for value in model.parameters() if value.requires_grad]

    states.append(weights())
    metrics = fine_tune(
        one,
        model,
        EXAMPLES["demonstrations"],
        objective="sft",
        settings=FineTuneSettings(**STOPPING),
        seed=3,
        on_progress=lambda _: states.append(weights()),
    )
    assert metrics.best_step not in {None, 0, metrics.steps}
    same = [all(torch.equal(a, b) for a, b in zip(weights(), state, strict=True)) for state in states]
    assert [step for step, equal in enumerate(same) if equal] == [metrics.best_step]


def test_a_training_that_only_did_harm_gives_back_its_start(student: BuildStudent) -> None:
    one = student("llama")
    model, metrics = stopped(one, learning_rate=3.0, warmup_ratio=0.0, eval_steps=1)
    assert (metrics.best_step, metrics.steps, metrics.stopped_early) == (0, 2, True)
    assert not any(value.any() for name, value in model.named_parameters() if "lora_B" in name)


def test_without_a_holdout_training_goes_on_to_its_end(student: BuildStudent) -> None:
    _, metrics = stopped(student("llama"), holdout_ratio=0.0, epochs=3.0)
    assert metrics.steps == 5
    assert (metrics.held_out, metrics.stopped_early, metrics.best_step, metrics.holdout_loss) == (0, False, None, None)
