from typing import Any

import pytest
import torch

from openmic.core.training_settings import FineTuneSettings
from openmic.training.loop.examples import EncodedExample, encode_examples
from openmic.training.loop.logprobs import completion_logprobs
from openmic.training.loop.portions import Portions
from openmic.training.loop.precision import Precision
from openmic.training.loop.reference import Reference, reference_of
from openmic.training.objectives import OBJECTIVES
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import collate

from ..conftest import BuildStudent
from ..factories import preference

EXAMPLES = [preference(i, f"Good joke {i}.", f"Bad joke number {i}, told twice.") for i in range(5)]


@pytest.fixture
def llama(student: BuildStudent) -> LoadedStudent:
    return student("llama")


def items_of(student: LoadedStudent, count: int = 5) -> list[EncodedExample]:
    return encode_examples(student, EXAMPLES[:count], OBJECTIVES["dpo"], FineTuneSettings())


def measured(student: LoadedStudent, model: Any, items: list[EncodedExample]) -> tuple[Reference, list[int]]:
    """The reference, and how many batches were announced before each that was computed."""
    seen: list[int] = []
    precision = Precision(torch.float32, model, "cpu")
    reference = reference_of(
        student, model, items, precision=precision, portions=Portions(2), on_batch=lambda done, _: seen.append(done)
    )
    return reference, seen


def test_every_row_has_the_models_log_probabilities_token_by_token(llama: LoadedStudent) -> None:
    items = items_of(llama)
    texts = [row.text for item in items for row in item.rows]
    batch = collate(llama, texts)
    with torch.no_grad():
        expected = completion_logprobs(llama, llama.model, batch)
    reference, _ = measured(llama, llama.model, items)
    assert torch.allclose(reference.rows(texts, expected), expected, atol=1e-5)
    assert torch.allclose(reference.rows(texts[3:5], expected[3:5]), expected[3:5], atol=1e-5)


def test_it_can_be_made_again_of_what_it_holds(llama: LoadedStudent) -> None:
    items = items_of(llama)
    first, batches = measured(llama, llama.model, items)
    assert batches == [0, 1, 2, 3]
    texts = [row.text for item in items for row in item.rows]
    like = torch.empty(len(texts), 40)
    assert torch.equal(Reference(items, first.logprobs.clone()).rows(texts, like), first.rows(texts, like))
