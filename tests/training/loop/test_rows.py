"""Texts laid out for a GPU are worth what they are worth on a CPU; all of it runs on a CPU too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.lora import adapted
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.loop import fine_tune as fine_tuning
from openmic.training.loop import logprobs, loop, replay
from openmic.training.loop.fine_tune import fine_tune
from openmic.training.loop.logprobs import completion_logprobs, measure_rows
from openmic.training.loop.loop import TrainLoop
from openmic.training.loop.precision import Precision
from openmic.training.loop.replay import Replays
from openmic.training.loop.rows import RowBatch, collate_rows, row_logprobs
from openmic.training.objectives import OBJECTIVES
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import EncodedPair, collate, encode_pair

from ..conftest import BuildStudent
from ..engines.test_architectures import student_of
from ..factories import TEXTS, messages
from .test_loop import EXAMPLES

SAID = ("It came, in its own time, like my pension.", "", "Late? It was posthumous.", "No.")


def pairs_of(student: LoadedStudent) -> list[EncodedPair]:
    return [encode_pair(student, messages(text), said) for text in TEXTS[:3] for said in SAID]


def in_double(student: LoadedStudent) -> LoadedStudent:
    return replace(student, model=student.model.double())


@pytest.mark.parametrize("name", ["llama", "gpt2", "adapted", "looks back"])
def test_rows_are_worth_what_prompts_and_completions_are(student: BuildStudent, name: str) -> None:
    one = in_double(student("gpt2" if name == "gpt2" else "llama"))
    if name == "looks back":
        one = in_double(student_of("MistralForCausalLM", one.tokenizer, sliding_window=16))
    model = random_adapter(one.model, "causal", seed=3) if name == "adapted" else one.model
    pairs = pairs_of(one)
    batch = collate_rows(one, pairs)
    with torch.no_grad():
        expected = completion_logprobs(one, model, collate(one, pairs), share_prompts=name != "looks back")
        token, mask = measure_rows(model, batch, Precision(torch.bfloat16, model, "cpu"), None, count=len(pairs))
        assert token.dtype == torch.float32
        found = row_logprobs(model, batch)
    width = expected.shape[1]
    assert (found[: len(pairs), :width] - expected).abs().max() < 1e-5
    assert not found[:, width:].any()
    assert not found[len(pairs) :].any()
    assert token.shape == mask.shape == (len(pairs), batch.completion_ids.shape[1])
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_sizes_are_few_and_no_row_outgrows_the_student(student: BuildStudent) -> None:
    one = student("llama")
    shapes = set()
    for length in range(4, 100):
        batch = collate_rows(one, [EncodedPair((5,) * length, (6,) * (1 + length % 30))] * (1 + length % 4))
        shapes.add(tuple(tuple(part.shape) for part in batch.parts))
    assert shapes == {((4, width), (4,), (4, 32), (4, 32)) for width in (64, 128)}
    assert collate_rows(replace(one, positions=70), [EncodedPair((5,) * 60, (6,) * 9)]).ids.shape == (4, 70)


def again(work: Callable[[], None]) -> Callable[[], None]:
    """In place of a graph: the work itself, done again."""
    return work


def test_replayed_passes_add_up_the_gradients_of_plain_ones(student: BuildStudent) -> None:
    one = in_double(student("llama"))
    model = random_adapter(one.model, "causal", seed=3)
    parameters = [value for name, value in model.named_parameters() if "lora_" in name]
    batches = [collate_rows(one, pairs_of(one)[start : start + 4]) for start in (0, 4, 8)]
    for parameter in parameters:
        parameter.requires_grad_()
    weights = torch.linspace(-1, 1, batches[0].completion_ids.numel()).view_as(batches[0].completion_ids)
    for batch in batches:
        (row_logprobs(model, batch) * weights).sum().backward()
    expected = []
    for parameter in parameters:
        assert parameter.grad is not None
        expected.append(parameter.grad)
        parameter.grad = torch.zeros_like(parameter)
    captured: list[Any] = []

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        captured.append(work)
        return work

    replays = Replays(lambda parts: row_logprobs(model, RowBatch(*parts)), parameters, capture)
    shapes = {batch.ids.shape for batch in batches}
    assert [replays(batch.parts) for batch in batches[:1]] == [None], "what comes up once is not worth a graph"
    replays._passes = {tuple(part.shape for part in batch.parts): None for batch in batches}
    for batch in batches:
        token = replays(batch.parts)
        assert token is not None
        assert torch.equal(token, row_logprobs(model, batch))
        (token * weights).sum().backward()
    assert len(captured) == 2 * len(shapes) < 2 * len(batches), "forward and backward of each shape"
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


def test_what_cannot_be_captured_goes_on_without_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def capture(_: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")

    weight = torch.ones(3, requires_grad=True)
    replays = Replays(lambda parts: parts[0] * weight, [weight], capture)
    for _ in range(4):
        assert replays([torch.ones(3)]) is None
    [said] = caplog.messages
    assert "goes on without (CUDA error: operation not permitted when stream is capturing)" in said


def trained(student: LoadedStudent, objective: str, **changes: Any) -> tuple[list[Tensor], list[dict[str, float]]]:
    model = adapted(student, LoRASettings(r=2), seed=1)
    numbers = {"epochs": 6.0, "batch_size": 2, "learning_rate": 1e-3} | changes
    examples = EXAMPLES[OBJECTIVES[objective].needs]
    metrics = fine_tune(student, model, examples, objective=objective, settings=FineTuneSettings(**numbers), seed=1)
    return [value.detach() for name, value in model.named_parameters() if "lora_" in name], list(metrics.curve)


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done in another way there is done in that way here."""
    for module in (fine_tuning, logprobs, loop):
        monkeypatch.setattr(module, "on_gpu", lambda _: True)
    monkeypatch.setattr(replay, "_Graphs", lambda: again)


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_a_training_as_on_a_gpu_goes_as_on_a_cpu(
    student: BuildStudent, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, curve = trained(student("llama"), objective, micro_batch_size=1)
    as_on_a_gpu(monkeypatch)
    found, rows = trained(student("llama"), objective, micro_batch_size=1)
    for weight, other in zip(expected, found, strict=True):
        assert torch.allclose(weight, other, atol=1e-4)
    assert [list(row) for row in rows] == [list(row) for row in curve]
    for row, other_row in zip(rows, curve, strict=True):
        assert row["loss"] == pytest.approx(other_row["loss"], abs=1e-4)


@pytest.mark.parametrize("changes", [{}, {"holdout_ratio": 0.3, "eval_steps": 4}, {"save_steps": 5}])
def test_looking_at_losses_late_changes_no_bit(
    student: BuildStudent, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, curve = trained(student("llama"), "dpo", **changes)
    looks: list[int] = []
    begin, read = TrainLoop.__init__, TrainLoop._read

    def begin_late(self: TrainLoop, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        self._read_every = 10

    def read_noted(self: TrainLoop) -> None:
        looks.append(len(self._unread))
        read(self)

    monkeypatch.setattr(TrainLoop, "__init__", begin_late)
    monkeypatch.setattr(TrainLoop, "_read", read_noted)
    found, rows = trained(student("llama"), "dpo", **changes)
    assert all(torch.equal(weight, other) for weight, other in zip(expected, found, strict=True))
    assert rows == curve
    assert max(looks) > 3
    assert sum(looks) == len(curve)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="who waits for a GPU shows on one, and here is none")
@pytest.mark.parametrize("objective", ["sft", "dpo", "brio", "kto"])
def test_on_a_gpu_no_step_waits_but_those_that_look(
    student: BuildStudent, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = student("llama")
    one = replace(one, model=one.model.to("cuda", torch.bfloat16), device="cuda")
    update = TrainLoop._update
    quiet: list[int] = []

    def watched(self: TrainLoop, step: int, steps: int, batch: Sequence[Any], *, read: bool) -> None:
        watch = step > 4 and not read and len(self._unread) + 1 < self._read_every
        torch.cuda.set_sync_debug_mode("error" if watch else "default")
        try:
            update(self, step, steps, batch, read=read)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        quiet.extend([step] * watch)

    monkeypatch.setattr(TrainLoop, "_update", watched)
    trained(one, objective, cuda_graphs=False)
    assert len(quiet) > 5
