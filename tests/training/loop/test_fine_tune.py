import math
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.errors import ConfigError, TrainingError
from openmic.core.records import TrainingExample
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.adapters.lora import adapted
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.loop.fine_tune import fine_tune
from openmic.training.loop.job import TrainingProgress
from openmic.training.loop.logprobs import completion_logprobs
from openmic.training.objectives import OBJECTIVES
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import collate, encode_pair

from ..conftest import BuildStudent
from ..factories import TEXTS, demonstration, draft, preference, request

LORA = LoRASettings(r=4, alpha=16)
JOKES = ("Late? Posthumous.", "It was a card from me to me.", "It rained umbrellas.", "Soup of the day.")
DULL = ("The bus came.", "He sent a card.", "It was raining.", "There was soup.")
DEMONSTRATIONS = [demonstration(i, joke) for i, joke in enumerate(JOKES)]
PREFERENCES = [preference(i, joke, dull) for i, (joke, dull) in enumerate(zip(JOKES, DULL, strict=True))]


RANKINGS = [
    preference(i, joke, f"{dull} Ha.", dull, target=f"{joke} Or so they say.")
    for i, (joke, dull) in enumerate(zip(JOKES, DULL, strict=True))
]
EXAMPLES = {
    "demonstrations": DEMONSTRATIONS,
    "chosen": PREFERENCES,
    "pairs": PREFERENCES,
    "rankings": RANKINGS,
    "drafts": [draft(i) for i in range(len(JOKES))],
}


def settings(**changes: Any) -> FineTuneSettings:
    usual = {"epochs": 1.0, "learning_rate": 1e-2, "batch_size": 2}
    return FineTuneSettings(**(usual | changes))


def train(
    student: LoadedStudent,
    examples: list[TrainingExample],
    objective: str = "sft",
    seed: int = 1,
    start: Path | None = None,
    lora: LoRASettings = LORA,
    **changes: Any,
) -> Any:
    """The PEFT model and the metrics."""
    model = adapted(student, lora, seed=seed, start=start)
    return model, fine_tune(student, model, examples, objective=objective, settings=settings(**changes), seed=seed)


def adapter_weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items() if "lora_" in name}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def totals(student: LoadedStudent, model: Any, texts: list[str]) -> torch.Tensor:
    pairs = [encode_pair(student, PREFERENCES[i].messages, text) for i, text in enumerate(texts)]
    with torch.no_grad():
        return completion_logprobs(student, model, collate(student, pairs)).sum(dim=1)


def length(student: LoadedStudent, example: TrainingExample) -> int:
    return encode_pair(student, example.messages, example.chosen).length


@pytest.fixture
def start(student: BuildStudent, tmp_path: Path) -> Path:
    """A committed adapter of the llama student, with r = 2."""
    adapted = random_adapter(student("llama").model, "causal", seed=8, r=2)
    return Path(str(commit_adapter(adapted, tmp_path / "start", 1, {"parent": 0}).uri))


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_sft_learns_a_few_examples_by_heart(student: BuildStudent, name: str) -> None:
    one = student(name)
    model, metrics = train(one, DEMONSTRATIONS[:2], epochs=60, learning_rate=2e-2)
    assert metrics.curve[0]["loss"] > 4  # near the logarithm of the vocabulary
    assert metrics.final_loss < metrics.curve[0]["loss"] / 3
    assert not model.training
    said = BatchGenerator(LoadedStudent(one.name, one.kind, model, one.tokenizer, "cpu"), max_batch=4).generate(
        [request(text, temperature=0.0, max_tokens=40) for text in TEXTS[:2]]
    )
    assert [generation.text for generation in said] == list(JOKES[:2])
    assert {generation.finish_reason for generation in said} == {"stop"}


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_dpo_raises_the_margin_of_the_chosen_texts(student: BuildStudent, name: str) -> None:
    one = student(name)
    before = totals(one, one.model, list(JOKES)) - totals(one, one.model, list(DULL))
    model, metrics = train(one, PREFERENCES, "dpo", epochs=20, learning_rate=5e-3, nll_weight=0.0)
    after = totals(one, model, list(JOKES)) - totals(one, model, list(DULL))
    assert (after > before + 5).all()
    assert metrics.curve[0]["reward_margin"] == pytest.approx(0.0, abs=1e-5)
    assert metrics.curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert metrics.curve[-1]["reward_accuracy"] == 1.0
    assert metrics.curve[-1]["reward_margin"] > 0.5
    assert metrics.final_loss < 0.5


def test_the_reported_margin_is_that_of_the_model_against_its_start(student: BuildStudent) -> None:
    one = student("llama")
    model = adapted(one, LORA, seed=1)
    margins: list[float] = []

    def measure(_: TrainingProgress | None = None) -> None:
        margins.append((totals(one, model, list(JOKES)) - totals(one, model, list(DULL))).mean().item())

    def after_a_step(progress: TrainingProgress) -> None:
        if progress.phase == "dpo":
            measure()

    measure()
    numbers = settings(epochs=3, batch_size=4, beta=0.3)
    metrics = fine_tune(one, model, PREFERENCES, objective="dpo", settings=numbers, seed=1, on_progress=after_a_step)
    reported = [row["reward_margin"] for row in metrics.curve]
    assert reported == pytest.approx([0.3 * (margin - margins[0]) for margin in margins[:3]], abs=1e-4)
    assert reported[2] > reported[1] > 0


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto", "brio"])
def test_the_same_seed_makes_the_same_adapter(student: BuildStudent, objective: str) -> None:
    examples = EXAMPLES[OBJECTIVES[objective].needs]
    first, metrics = train(student("llama"), examples, objective, epochs=3)
    torch.rand(17)  # what others drew in the meantime plays no part
    second, again = train(student("llama"), examples, objective, epochs=3)
    other, _ = train(student("llama"), examples, objective, seed=2, epochs=3)
    assert same(adapter_weights(first), adapter_weights(second))
    assert metrics.curve == again.curve
    assert not same(adapter_weights(first), adapter_weights(other))


@pytest.mark.parametrize("name", ["llama", "t5"])
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_every_objective_lowers_its_loss(student: BuildStudent, name: str, objective: str) -> None:
    _, metrics = train(student(name), EXAMPLES[OBJECTIVES[objective].needs], objective, epochs=12, batch_size=4)
    assert metrics.final_loss < 0.9 * metrics.curve[0]["loss"]
    assert (metrics.examples, metrics.left_out, metrics.held_out) == (4, (), 0)


def test_the_base_model_is_left_as_it_was(student: BuildStudent) -> None:
    one = student("llama")
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    model, _ = train(one, DEMONSTRATIONS, epochs=4)
    assert same(dict(model.unload().state_dict()), before)


def test_a_starting_adapter_is_gone_on_from(student: BuildStudent, start: Path) -> None:
    from safetensors.torch import load_file

    _, fresh = train(student("llama"), DEMONSTRATIONS, batch_size=4)
    model, metrics = train(student("llama"), DEMONSTRATIONS, start=start, batch_size=4, learning_rate=1e-9)
    saved = load_file(start / "adapter_model.safetensors")
    found = {name.replace(".default", ""): value for name, value in adapter_weights(model).items()}
    assert found.keys() == saved.keys()
    assert all(torch.allclose(found[name], saved[name], atol=1e-6) for name in saved)
    assert abs(metrics.curve[0]["loss"] - fresh.curve[0]["loss"]) > 0.1
    assert (
        next(value for name, value in found.items() if "lora_A" in name).shape[0] == 2
    )  # its own r, not the settings'


def test_a_starting_adapter_is_trained_and_its_files_are_not(student: BuildStudent, start: Path) -> None:
    before = (start / "adapter_model.safetensors").read_bytes()
    model, _ = train(student("llama"), DEMONSTRATIONS, start=start, epochs=4)
    still, _ = train(student("llama"), DEMONSTRATIONS, start=start, learning_rate=1e-12)
    assert not same(adapter_weights(model), adapter_weights(still))
    assert (start / "adapter_model.safetensors").read_bytes() == before


def test_preferences_are_measured_from_the_starting_adapter(student: BuildStudent, start: Path) -> None:
    _, metrics = train(student("llama"), PREFERENCES, "dpo", start=start, batch_size=4, nll_weight=0.0)
    assert metrics.curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert metrics.curve[0]["reward_margin"] == pytest.approx(0.0, abs=1e-5)


def test_examples_beyond_max_length_are_left_out_and_not_counted(student: BuildStudent) -> None:
    one = student("llama")
    lengths = sorted(length(one, example) for example in DEMONSTRATIONS)
    assert lengths[2] < lengths[3]
    _, metrics = train(one, DEMONSTRATIONS, batch_size=3, max_length=lengths[2])
    assert (metrics.examples, metrics.steps, metrics.tokens) == (3, 1, sum(lengths[:3]))
    longest = max(DEMONSTRATIONS, key=lambda example: length(one, example))
    assert metrics.left_out == (longest.id,)
    assert metrics.as_json()["left_out"] == 1


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_nothing_to_train_on_is_an_error(student: BuildStudent, objective: str) -> None:
    with pytest.raises(TrainingError, match="nothing to train on: 0 examples"):
        train(student("llama"), [], objective)
    with pytest.raises(TrainingError, match=r"4 examples, none within max_length=8"):
        train(student("llama"), PREFERENCES, objective, max_length=8)


def test_sft_learns_from_preferences_too(student: BuildStudent) -> None:
    by_heart, _ = train(student("llama"), PREFERENCES)
    from_texts, _ = train(student("llama"), DEMONSTRATIONS)
    assert same(adapter_weights(by_heart), adapter_weights(from_texts))


def test_a_loss_that_is_not_a_number_is_an_error(student: BuildStudent) -> None:
    with pytest.raises(TrainingError, match=r"the sft loss became nan at step \d+; lower learning_rate"):
        train(student("llama"), DEMONSTRATIONS, epochs=20, learning_rate=1e30, warmup_ratio=0.0)


def test_every_example_is_seen_once_in_every_epoch(student: BuildStudent) -> None:
    one = student("llama")
    examples = [demonstration(i, JOKES[i % 4] * (1 + i % 3)) for i in range(7)]
    _, metrics = train(one, examples, epochs=1, batch_size=1)
    assert metrics.steps == 7
    assert metrics.tokens == sum(length(one, example) for example in examples)
    per_step = [b["tokens"] - a["tokens"] for a, b in zip([{"tokens": 0}, *metrics.curve], metrics.curve, strict=False)]
    assert sorted(per_step) == sorted(length(one, example) for example in examples)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "steps"), [(1.0, 2, 2), (0.5, 2, 1), (1.5, 2, 3), (1.0, 3, 2), (0.01, 4, 1)]
)
def test_epochs_say_how_many_steps(student: BuildStudent, epochs: float, batch_size: int, steps: int) -> None:
    _, metrics = train(student("llama"), DEMONSTRATIONS, epochs=epochs, batch_size=batch_size)
    assert metrics.steps == len(metrics.curve) == steps


def test_every_step_is_reported_as_it_is_made(student: BuildStudent) -> None:
    one, seen = student("llama"), list[TrainingProgress]()
    model = adapted(one, LORA, seed=1)
    metrics = fine_tune(
        one, model, PREFERENCES, objective="dpo", settings=settings(epochs=5), seed=1, on_progress=seen.append
    )
    reference, steps = seen[:3], seen[3:]
    assert [(told.phase, told.step, told.steps) for told in reference] == [("reference", i, 2) for i in range(3)]
    assert [(told.phase, told.step, told.steps) for told in steps] == [("dpo", i, 10) for i in range(1, 11)]
    assert [told.loss for told in steps] == [row["loss"] for row in metrics.curve]
    assert [told.tokens for told in steps] == [row["tokens"] for row in metrics.curve]
    assert steps[-1].tokens == metrics.tokens
    assert metrics.final_loss == metrics.curve[-1]["loss"]
    assert metrics.seconds > 0
    assert not model.training


def test_the_learning_rate_rises_and_then_falls_to_nearly_nothing(student: BuildStudent) -> None:
    _, metrics = train(student("llama"), DEMONSTRATIONS, epochs=10, learning_rate=1e-3, warmup_ratio=0.2)
    rates = [row["learning_rate"] for row in metrics.curve]
    peak = rates.index(max(rates))
    assert len(rates) == 20
    assert max(rates) == pytest.approx(1e-3)
    assert peak == 4
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-4


@pytest.mark.parametrize(
    "changes", [{"precision": "float16"}, {"precision": "float16", "gradient_checkpointing": True}]
)
def test_float16_on_a_cpu_is_an_error_before_anything_is_done(student: BuildStudent, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="precision float16 needs a CUDA device, and the student is on 'cpu'"):
        train(student("llama"), DEMONSTRATIONS, **changes)


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_bfloat16_trains_about_as_float32_does(student: BuildStudent, objective: str) -> None:
    examples = EXAMPLES[OBJECTIVES[objective].needs]
    _, expected = train(student("llama"), examples, objective, epochs=6, precision="float32")
    model, metrics = train(student("llama"), examples, objective, epochs=6, precision="bfloat16")
    assert {value.dtype for value in adapter_weights(model).values()} == {torch.float32}
    assert metrics.curve != expected.curve
    assert metrics.final_loss == pytest.approx(expected.final_loss, rel=0.2)
    assert metrics.final_loss < metrics.curve[0]["loss"]
