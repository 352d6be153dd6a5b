import math
from dataclasses import replace

import pytest
import torch

from openmic.training.engines.tiny_student import random_adapter
from openmic.training.loop.logprobs import completion_logprobs
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import CompletionBatch, EncodedPair, collate, encode_pair

from ..conftest import BuildStudent
from ..factories import TEXTS, messages

EVERY_STUDENT = pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
SAID = ("It came, in its own time, like my pension.", "", "Late? It was posthumous.", "No.")


@pytest.fixture
def student(student: BuildStudent) -> BuildStudent:
    """Fresh students in float64: in float32 the processor decides by how much two ways to one logit of 7 differ."""

    def build(name: str) -> LoadedStudent:
        one = student(name)
        return replace(one, model=one.model.double())

    return build


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


WAYS = pytest.mark.parametrize("share_prompts", [True, False], ids=["prompts shared", "whole rows"])


@EVERY_STUDENT
def test_whole_rows_give_the_same_as_shared_prompts(student: BuildStudent, name: str) -> None:
    one = student(name)
    batch = collate(one, [encode_pair(one, messages(text), said) for text in TEXTS[:2] for said in SAID])
    found, gradients = [], []
    for share_prompts in (True, False):
        one.model.zero_grad()
        found.append(completion_logprobs(one, one.model, batch, share_prompts=share_prompts))
        (found[-1] * torch.arange(found[-1].shape[1])).sum().backward()
        gradients.append([value.grad.clone() for value in one.model.parameters() if value.grad is not None])
    assert torch.allclose(found[0], found[1], atol=1e-5)
    for shared, whole in zip(*gradients, strict=True):
        assert torch.allclose(shared, whole, atol=1e-5 * max(1.0, float(whole.abs().max())))


def widened(batch: CompletionBatch, filler: int, *, left: int, right: int) -> CompletionBatch:
    """The batch with more columns of padding on either side of the prompts and behind the completions."""

    def pad(part: torch.Tensor, value: int, *sides: int) -> torch.Tensor:
        return torch.nn.functional.pad(part, sides, value=value)

    return CompletionBatch(
        pad(batch.prompt_ids, filler, left, right),
        pad(batch.prompt_mask, 0, left, right),
        batch.prompt_of,
        pad(batch.completion_ids, filler, 0, 3),
        pad(batch.completion_mask, 0, 0, 3),
    )


# Where an encoder counts positions from the first column, padding before a prompt moves it: no layout of ours has it.
PADDED = pytest.mark.parametrize(
    ("name", "left", "right"), [("llama", 3, 0), ("gpt2", 3, 0), ("t5", 3, 0), ("t5", 0, 3), ("bart", 0, 3)]
)


@PADDED
@WAYS
def test_padding_plays_no_part_whatever_it_holds(
    student: BuildStudent, name: str, left: int, right: int, share_prompts: bool
) -> None:
    one = student(name)
    pairs = pairs_of(one)
    batch = collate(one, pairs)
    with torch.no_grad():
        expected = completion_logprobs(one, one.model, batch, share_prompts=share_prompts)
        for filler in (0, 7, one.tokenizer.eos_token_id):
            wide = widened(batch, filler, left=left, right=right)
            ids = torch.where(wide.prompt_mask.bool(), wide.prompt_ids, filler)
            said = torch.where(wide.completion_mask.bool(), wide.completion_ids, filler)
            wide = CompletionBatch(ids, wide.prompt_mask, wide.prompt_of, said, wide.completion_mask)
            found = completion_logprobs(one, one.model, wide, share_prompts=share_prompts)
            assert torch.allclose(found[:, : expected.shape[1]], expected, atol=1e-5)
            assert not found[:, expected.shape[1] :].any()
    for row, pair in enumerate(pairs):
        assert expected[row, : len(pair.completion)].tolist() == pytest.approx(by_hand(one, pair), abs=1e-5)


@EVERY_STUDENT
@WAYS
def test_every_token_of_a_completion_counts_and_moves_no_token_before_it(
    student: BuildStudent, name: str, share_prompts: bool
) -> None:
    one = student(name)
    batch = collate(one, pairs_of(one)[::2])
    with torch.no_grad():
        before = completion_logprobs(one, one.model, batch, share_prompts=share_prompts)
        for row, column in batch.completion_mask.nonzero().tolist():
            ids = batch.completion_ids.clone()
            ids[row, column] = (ids[row, column] + 1) % len(one.tokenizer)
            changed = CompletionBatch(batch.prompt_ids, batch.prompt_mask, batch.prompt_of, ids, batch.completion_mask)
            after = completion_logprobs(one, one.model, changed, share_prompts=share_prompts)
            assert abs(after[row, column] - before[row, column]) > 1e-4
            assert torch.allclose(after[row, :column], before[row, :column], atol=1e-5)
            assert torch.allclose(after[1 - row], before[1 - row], atol=1e-5)


@EVERY_STUDENT
@WAYS
def test_every_token_of_a_prompt_is_read(student: BuildStudent, name: str, share_prompts: bool) -> None:
    one = student(name)
    batch = collate(one, pairs_of(one)[3:])
    with torch.no_grad():
        before = completion_logprobs(one, one.model, batch, share_prompts=share_prompts).sum()
        for column in range(batch.prompt_ids.shape[1]):
            ids = batch.prompt_ids.clone()
            ids[0, column] = (ids[0, column] + 1) % len(one.tokenizer)
            changed = CompletionBatch(
                ids, batch.prompt_mask, batch.prompt_of, batch.completion_ids, batch.completion_mask
            )
            assert completion_logprobs(one, one.model, changed, share_prompts=share_prompts).sum() != before
