import re
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import AdapterError, ConfigError, GenerationError, TrainingError
from openmic.core.records import TrainingExample
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.standalone import TrainedAdapter, load_student, train

from .factories import TEXTS, messages
from .objectives.own_objectives import Margin, Raising

SAID = "It came, in its own time."
SETTINGS = FineTuneSettings(epochs=30, batch_size=4, learning_rate=1e-2, save_steps=None)
LORA = LoRASettings(r=4)


def trained(student: Path, folder: Path, examples: list[Any], **changes: Any) -> TrainedAdapter:
    options = {"settings": SETTINGS, "lora": LORA, "device": "cpu", "output": folder, **changes}
    return train(examples, student=str(student), **options)


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


@pytest.mark.parametrize(
    ("asked", "sampling", "why"),
    [
        ({"role": "user", "content": "Soup."}, {}, "is a dict; give a list"),
        ([{"role": "user", "content": "Soup."}], {}, "prompt 0: {'role'"),
        (None, {}, "prompts: None is a NoneType"),
        ([None], {}, "prompt 0: None is a NoneType"),
        ([[]], {}, "prompt 0: the conversation is empty"),
        ("\ud800", {}, "prompt 0: half of a surrogate pair"),
        ("Soup.", {"n": 0}, "n: 0 is no number of answers"),
        ("Soup.", {"n": "2"}, "n: '2' is no number of answers"),
        ("Soup.", {"temperature": -1}, "temperature: Input should be greater than or equal to 0 (given: -1)"),
        ("Soup.", {"max_tokens": 0}, "max_tokens: Input should be greater"),
    ],
)
def test_what_cannot_be_asked_says_why(bare: Any, asked: Any, sampling: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        bare(asked, **sampling)


@pytest.fixture(scope="module")
def bare(tiny_causal: Path) -> Any:
    return load_student(str(tiny_causal), device="cpu")


def test_an_adapter_of_another_student_is_refused(tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path) -> None:
    made = trained(tiny_causal, tmp_path / "a", [("Soup.", SAID)])
    with pytest.raises(AdapterError, match=r"does not fit the student .*is it another student's\?"):
        trained(tiny_seq2seq, tmp_path / "b", [("Soup.", SAID)], start=made.path)


def test_trying_the_output_leaves_nothing(tiny_causal: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        trained(tiny_causal, tmp_path / "deep" / "er", [])
    assert not (tmp_path / "deep").exists()


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
        ([{"question": "a"}], {}, ConfigError, "example 0 has the keys question; make it (prompt, completion)"),
        ([("a", "b")], {"output": None}, ConfigError, "output: None is no folder"),
        ([("a", "b")], {"output": Path(__file__) / "x"}, ConfigError, "cannot be written (Not a directory)"),
        ([("a", "b")], {"output": Path(__file__)}, ConfigError, "cannot be written (File exists)"),
        ([("a", "b")], {"output": "/proc/nowhere"}, ConfigError, "cannot be written (No such file or directory)"),
        (
            [("a", "b")],
            {"settings": {"epocs": 1}},
            ConfigError,
            "settings: unknown key 'epocs'; did you mean 'epochs'?",
        ),
        ([("a", "b")], {"settings": {"epochs": 0}}, ConfigError, "settings: epochs: Input should be greater than"),
        ([("a", "b")], {"settings": 5}, ConfigError, "settings: 5 is neither FineTuneSettings nor a mapping"),
        ([("a", "b")], {"device": "cudaa"}, ConfigError, "device: 'cudaa' is no device"),
        ([("a", "b")], {"device": "cuda:99"}, ConfigError, "device: this machine has no device 'cuda:99'"),
        ([("a", "b")], {"device": "meta"}, ConfigError, "on the device meta nothing can be computed"),
        ([("a", "b")], {"device": 5}, ConfigError, "device: 5 is no device (a int is no name)"),
        ([("a", "b")], {"objective": Raising}, ConfigError, "objective Raising, tried on made-up rows, failed: KeyErr"),
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
