import math

import pytest
import torch

from openmic.training.logprobs import completion_logprobs
from openmic.training.student import LoadedStudent
from openmic.training.tokenization import EncodedPair, collate, encode_pair

from .asking import TEXTS, messages
from .conftest import BuildStudent, random_adapter

EVERY_STUDENT = pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
SAID = ("It came, in its own time, like my pension.", "", "Late? It was posthumous.", "No.")


def pairs_of(student: LoadedStudent) -> list[EncodedPair]:
    return [encode_pair(student, messages(text), said) for text, said in zip(TEXTS, SAID, strict=True)]


def by_hand(student: LoadedStudent, pair: EncodedPair) -> list[float]:
    """One unpadded forward pass, and the log-softmax written out."""
    prompt, completion = list(pair.prompt), list(pair.completion)
    with torch.no_grad():
        if student.kind == "causal":
            logits = student.model(input_ids=torch.tensor([prompt + completion])).logits[0]
            predicting = logits[len(prompt) - 1 : len(prompt) + len(completion) - 1]
        else:
            start = student.model.config.decoder_start_token_id
            predicting = student.model(
                input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start, *completion[:-1]]])
            ).logits[0]
    rows = zip(predicting.double().tolist(), completion, strict=True)
    return [row[token] - math.log(sum(math.exp(value) for value in row)) for row, token in rows]


@EVERY_STUDENT
def test_equal_to_an_unpadded_forward_pass_by_hand(student: BuildStudent, name: str) -> None:
    one = student(name)
    for pair in pairs_of(one):
        with torch.no_grad():
            found = completion_logprobs(one, one.model, collate(one, [pair]))
        assert found.shape == (1, len(pair.completion))
        assert found[0].tolist() == pytest.approx(by_hand(one, pair), abs=1e-5)


@EVERY_STUDENT
def test_a_row_is_the_same_beside_longer_and_shorter_rows(student: BuildStudent, name: str) -> None:
    one = student(name)
    pairs = pairs_of(one)
    assert len({len(pair.prompt) for pair in pairs}) >= 3
    assert len({len(pair.completion) for pair in pairs}) == 4
    with torch.no_grad():
        together = completion_logprobs(one, one.model, collate(one, pairs))
    for row, pair in enumerate(pairs):
        length = len(pair.completion)
        assert together[row, :length].tolist() == pytest.approx(by_hand(one, pair), abs=1e-5)
        assert together[row, length:].tolist() == [0.0] * (together.shape[1] - length)


@EVERY_STUDENT
def test_completions_of_one_prompt_are_as_if_each_were_alone(student: BuildStudent, name: str) -> None:
    one = student(name)
    pairs = [encode_pair(one, messages(text), said) for text in TEXTS[:2] for said in SAID]
    with torch.no_grad():
        together = completion_logprobs(one, one.model, collate(one, pairs[::2] + pairs[1::2]))
    for row, pair in enumerate(pairs[::2] + pairs[1::2]):
        assert together[row, : len(pair.completion)].tolist() == pytest.approx(by_hand(one, pair), abs=1e-5)


@EVERY_STUDENT
def test_gradients_are_those_of_unpadded_forward_passes(student: BuildStudent, name: str) -> None:
    one = student(name)
    pairs = [*pairs_of(one), encode_pair(one, messages(TEXTS[0]), SAID[2])]  # two completions of one prompt
    completion_logprobs(one, one.model, collate(one, pairs)).sum().backward()
    found = {key: value.grad.clone() for key, value in one.model.named_parameters() if value.grad is not None}
    one.model.zero_grad()
    for pair in pairs:
        prompt, completion = list(pair.prompt), list(pair.completion)
        if one.kind == "causal":
            labels = torch.tensor([[-100] * len(prompt) + completion])
            mean = one.model(input_ids=torch.tensor([prompt + completion]), labels=labels).loss
        else:
            mean = one.model(input_ids=torch.tensor([prompt]), labels=torch.tensor([completion])).loss
        (-mean * len(completion)).backward()
    expected = {key: value.grad for key, value in one.model.named_parameters() if value.grad is not None}
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        assert torch.allclose(found[key], gradient, atol=1e-3 * max(1.0, float(gradient.abs().max()))), key


@EVERY_STUDENT
def test_an_adapter_changes_them_and_its_absence_does_not(student: BuildStudent, name: str) -> None:
    one = student(name)
    batch = collate(one, pairs_of(one))
    adapted = random_adapter(one.model, one.kind, seed=5)
    with torch.no_grad():
        base = completion_logprobs(one, one.model, batch)
        changed = completion_logprobs(one, adapted, batch)
        with adapted.disable_adapter():
            without = completion_logprobs(one, adapted, batch)
    assert (changed - base).abs().max() > 0.1
    assert torch.allclose(without, base, atol=1e-6)


def test_padding_has_no_gradient(student: BuildStudent) -> None:
    llama = student("llama")
    batch = collate(llama, pairs_of(llama))
    found = completion_logprobs(llama, llama.model, batch)
    assert found.dtype == torch.float32
    (found * (1 - batch.completion_mask)).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in llama.model.parameters())
