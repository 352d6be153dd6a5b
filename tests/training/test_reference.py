from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.config import FineTuneSettings, LoRASettings
from openmic.training.examples import Item, encode_examples
from openmic.training.fine_tune import fine_tune
from openmic.training.job import TrainingProgress
from openmic.training.logprobs import completion_logprobs
from openmic.training.lora import adapted
from openmic.training.objectives import OBJECTIVES
from openmic.training.precision import Precision
from openmic.training.reference import Reference, reference_of
from openmic.training.student import LoadedStudent
from openmic.training.tokenization import collate

from .asking import preference
from .conftest import BuildStudent

EXAMPLES = [preference(i, f"Good joke {i}.", f"Bad joke number {i}, told twice.") for i in range(5)]


@pytest.fixture
def llama(student: BuildStudent) -> LoadedStudent:
    return student("llama")


def items_of(student: LoadedStudent, count: int = 5) -> list[Item]:
    return encode_examples(student, EXAMPLES[:count], OBJECTIVES["dpo"], FineTuneSettings())


def measured(student: LoadedStudent, model: Any, items: list[Item], **more: Any) -> tuple[Reference, list[int]]:
    """The reference, and how many batches were announced before each that was computed."""
    seen: list[int] = []
    precision = Precision(more.pop("dtype", torch.float32), model, "cpu")
    reference = reference_of(
        student, model, items, precision=precision, batch_size=2, on_batch=lambda done, _: seen.append(done), **more
    )
    return reference, seen


def rows_of(reference: Reference, items: list[Item], width: int = 40) -> torch.Tensor:
    texts = [row.text for item in items for row in item.rows]
    return reference.rows(texts, torch.empty(len(texts), width))


def test_every_row_has_the_models_log_probabilities_token_by_token(llama: LoadedStudent) -> None:
    items = items_of(llama)
    texts = [row.text for item in items for row in item.rows]
    batch = collate(llama, texts)
    with torch.no_grad():
        expected = completion_logprobs(llama, llama.model, batch)
    reference, _ = measured(llama, llama.model, items)
    assert torch.allclose(reference.rows(texts, expected), expected, atol=1e-5)
    assert torch.allclose(reference.rows(texts[3:5], expected[3:5]), expected[3:5], atol=1e-5)


def test_it_is_found_again_and_not_computed(llama: LoadedStudent, tmp_path: Path) -> None:
    file, items = tmp_path / "deep" / "reference.safetensors", items_of(llama)
    first, batches = measured(llama, llama.model, items, file=file)
    assert batches == [0, 1, 2, 3]
    second, batches = measured(llama, llama.model, items, file=file)
    assert batches == []
    assert torch.equal(rows_of(first, items), rows_of(second, items))
    assert [path.name for path in file.parent.iterdir()] == ["reference.safetensors"]


def test_another_start_other_examples_or_another_precision_are_computed_anew(
    llama: LoadedStudent, tmp_path: Path
) -> None:
    file = tmp_path / "reference.safetensors"
    model = adapted(llama, LoRASettings(r=2), seed=1)
    measured(llama, model, items_of(llama), file=file)
    assert measured(llama, model, items_of(llama), file=file)[1] == []
    with torch.no_grad():
        next(value for name, value in model.named_parameters() if "lora_B" in name).add_(1e-3)
    assert measured(llama, model, items_of(llama), file=file)[1]
    assert measured(llama, model, items_of(llama, 4), file=file)[1]
    assert measured(llama, model, items_of(llama, 4), file=file, dtype=torch.bfloat16)[1]
    assert measured(llama, model, items_of(llama, 4), file=file, dtype=torch.bfloat16)[1] == []


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_file_that_cannot_be_read_is_replaced(llama: LoadedStudent, tmp_path: Path, content: bytes) -> None:
    file, items = tmp_path / "reference.safetensors", items_of(llama)
    file.write_bytes(content)
    assert measured(llama, llama.model, items, file=file)[1]
    assert measured(llama, llama.model, items, file=file)[1] == []


def test_a_training_that_is_done_again_finds_it(student: BuildStudent, tmp_path: Path) -> None:
    def phases() -> tuple[list[str], Any]:
        one, seen = student("llama"), list[TrainingProgress]()
        metrics = fine_tune(
            one,
            adapted(one, LoRASettings(r=2), seed=1),
            EXAMPLES,
            objective="dpo",
            settings=FineTuneSettings(epochs=1, batch_size=5),
            seed=1,
            reference_file=tmp_path / "reference.safetensors",
            on_progress=seen.append,
        )
        return [told.phase for told in seen], metrics.curve

    first, curve = phases()
    assert set(first) == {"reference", "dpo"}
    assert phases() == (["dpo"], curve)
