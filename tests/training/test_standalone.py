import re
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import FineTuneSettings, LoRASettings
from openmic.core.errors import AdapterError, ConfigError, GenerationError, TrainingError
from openmic.core.records import TrainingExample
from openmic.training.standalone import TrainedAdapter, load_student, train

from .factories import TEXTS, messages
from .objectives.own_objectives import Margin

SAID = "It came, in its own time."
SETTINGS = FineTuneSettings(epochs=30, batch_size=4, learning_rate=1e-2, save_steps=None)
LORA = LoRASettings(r=4)


def trained(student: Path, output: Path, examples: list[Any], **changes: Any) -> TrainedAdapter:
    options = {"settings": SETTINGS, "lora": LORA, "device": "cpu", **changes}
    return train(examples, student=str(student), output=output, **options)


def test_a_student_says_what_it_was_trained_to_say_and_its_base_does_not(tiny_causal: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    made = trained(tiny_causal, tmp_path, [(text, SAID) for text in TEXTS], progress=lambda at: steps.append(at.step))
    assert made.metrics.steps == steps[-1] == 30
    with load_student(str(tiny_causal), made.path, device="cpu") as student:
        assert student(TEXTS[0], temperature=0.0) == SAID
        assert student(list(TEXTS), temperature=0.0) == [SAID] * 4
        assert student([[{"role": "user", "content": TEXTS[1]}]], temperature=0.0) == [SAID]
    with load_student(str(tiny_causal), device="cpu") as base:
        assert base(TEXTS[0], temperature=0.0) != SAID


def test_answers_are_drawn_by_their_seed_alone(tiny_causal: Path) -> None:
    student = load_student(str(tiny_causal), device="cpu")
    several = student(list(TEXTS[:2]), n=3, seed=1, max_tokens=8)
    assert [len(answers) for answers in several] == [3, 3]
    assert len(set(several[0])) == 3
    assert student(TEXTS[0], n=3, seed=1, max_tokens=8) == several[0]
    assert student(TEXTS[0], n=3, seed=2, max_tokens=8) != several[0]
    student.close()
    student.close()
    with pytest.raises(GenerationError, match="closed"):
        student(TEXTS[0])


@pytest.mark.parametrize("objective", ["dpo", Margin, Margin(0.5), f"{Margin.__module__}:Margin"])
def test_pairs_are_learned_from_by_any_objective_of_pairs(tiny_causal: Path, tmp_path: Path, objective: Any) -> None:
    pairs = [(text, SAID, "It is what it is.") for text in TEXTS]
    metrics = trained(tiny_causal, tmp_path, pairs, objective=objective).metrics
    assert metrics.final_loss < metrics.curve[0]["loss"]


@pytest.mark.slow
def test_rankings_and_ready_records_are_learned_from_and_a_training_goes_on_from_another(
    tiny_causal: Path, tmp_path: Path
) -> None:
    first = trained(tiny_causal, tmp_path / "a", [(text, [SAID, "Late.", "No."]) for text in TEXTS], objective="brio")
    records = [TrainingExample(f"r{i}", messages(text), (SAID,)) for i, text in enumerate(TEXTS)]
    second = trained(tiny_causal, tmp_path / "b", records, start=first.path)
    afresh = trained(tiny_causal, tmp_path / "c", records)
    assert second.metrics.curve[0]["loss"] != afresh.metrics.curve[0]["loss"]


def test_the_same_training_makes_the_same_adapter(tiny_causal: Path, tmp_path: Path) -> None:
    made = [trained(tiny_causal, tmp_path / name, [("Soup.", SAID)] * 3, seed=7).path for name in ("a", "b")]
    first, second = ((folder / "adapter_model.safetensors").read_bytes() for folder in made)
    assert first == second


def test_examples_that_are_too_long_are_left_out_and_counted(tiny_causal: Path, tmp_path: Path) -> None:
    examples = [("Soup.", SAID), (TEXTS[1] * 50, SAID)]
    assert trained(tiny_causal, tmp_path, examples).metrics.left_out == ("example-1",)


@pytest.mark.parametrize(
    ("examples", "changes", "error", "why"),
    [
        ([("a", "b")], {"objective": "ppo"}, ConfigError, "objective 'ppo' is none of sft"),
        ([("a", "b")], {"objective": object()}, ConfigError, "is no objective"),
        (["ab"], {}, ConfigError, "example 0 is 'ab'; make it (prompt, completion)"),
        ([("a", [1])], {}, ConfigError, "example 0 has completions that are no texts"),
        ([("a", "b")], {"objective": "dpo"}, TrainingError, "needs exactly two: chosen and rejected"),
        ([], {}, TrainingError, "nothing to train on"),
        ([("a", "b")], {"start": "nowhere"}, AdapterError, "nowhere holds no committed adapter"),
    ],
)
def test_what_cannot_be_trained_says_why(
    tiny_causal: Path,
    tmp_path: Path,
    examples: list[Any],
    changes: dict[str, Any],
    error: type[Exception],
    why: str,
) -> None:
    with pytest.raises(error, match=re.escape(why)):
        trained(tiny_causal, tmp_path, examples, **changes)


def test_an_output_that_holds_an_adapter_is_left_alone(tiny_causal: Path, tmp_path: Path) -> None:
    trained(tiny_causal, tmp_path, [("Soup.", SAID)])
    with pytest.raises(ConfigError, match="holds an adapter, which never changes"):
        trained(tiny_causal, tmp_path, [("Soup.", SAID)])
