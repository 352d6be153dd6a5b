"""On-policy distillation as it is meant: a student samples, a teacher says what it thinks, the student comes nearer."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from openmic.core.errors import TrainingError
from openmic.core.records import TrainingExample
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.lora import adapted
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.loop.fine_tune import fine_tune
from openmic.training.loop.logprobs import completion_logprobs
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import EncodedPair, collate, render_prompt

from ..conftest import BuildStudent
from ..factories import TEXTS, draft, messages, request


def drafts(student: LoadedStudent, model: Any, first_seed: int, count: int) -> list[EncodedPair]:
    """Texts of one token as the model samples them in answer to one prompt."""
    sampler = BatchGenerator(replace(student, model=model), max_batch=256)
    requests = [request(seed=first_seed + number, max_tokens=1, id=f"{number}") for number in range(count)]
    prompt = tuple(render_prompt(student, messages(TEXTS[0])))
    return [EncodedPair(prompt, one.token_ids) for one in sampler.generate(requests)]


def scored(student: LoadedStudent, teacher: Any, pairs: list[EncodedPair]) -> list[TrainingExample]:
    """The drafts as examples, with the teacher's log-probability of each token."""
    with torch.no_grad():
        found = completion_logprobs(student, teacher, collate(student, pairs))
    return [
        TrainingExample(
            f"draft {place}",
            messages(TEXTS[0]),
            (student.tokenizer.decode(pair.completion),),
            token_ids=pair.completion,
            teacher_logprobs=tuple(row[: len(pair.completion)].tolist()),
        )
        for place, (pair, row) in enumerate(zip(pairs, found, strict=True))
    ]


@torch.no_grad()
def reverse_kl(student: LoadedStudent, model: Any, teacher: Any) -> float:
    """KL(model || teacher), in nats, of the first token of an answer: over the whole vocabulary, not a sample of it."""
    ids = torch.tensor([render_prompt(student, messages(TEXTS[0]))])
    own, other = (torch.log_softmax(one(input_ids=ids).logits[0, -1].float(), -1) for one in (model, teacher))
    return float((own.exp() * (own - other)).sum())


def test_a_student_comes_nearer_to_a_teacher_round_after_round(student: BuildStudent) -> None:
    one = student("llama")
    teacher = random_adapter(one.model, "causal", seed=5)
    model = adapted(one, LoRASettings(r=8, alpha=16), seed=1)
    settings = FineTuneSettings(epochs=1, learning_rate=1e-2, batch_size=256, warmup_ratio=0.0)
    apart = [reverse_kl(one, model, teacher)]
    for number in range(4):
        examples = scored(one, teacher, drafts(one, model, 1000 * number, 256))
        metrics = fine_tune(one, model, examples, objective="opd", settings=settings, seed=number)
        # Before anything is learned the drafts' own estimate is the truth, but for its spread.
        assert metrics.curve[0]["reverse_kl"] == pytest.approx(apart[-1], abs=0.5)
        assert metrics.curve[0]["ratio"] == pytest.approx(1.0, abs=1e-4)
        apart.append(reverse_kl(one, model, teacher))
    assert apart[-1] < 0.5 * apart[0], apart


def test_a_teacher_that_is_the_student_teaches_nothing(student: BuildStudent) -> None:
    one = student("llama")
    model = adapted(one, LoRASettings(r=4), seed=1)
    examples = scored(one, model, drafts(one, model, 0, 16))
    settings = FineTuneSettings(epochs=1, learning_rate=1e-2, batch_size=16, max_grad_norm=1.0)
    metrics = fine_tune(one, model, examples, objective="opd", settings=settings, seed=1)
    assert metrics.curve[0]["loss"] == pytest.approx(0.0, abs=1e-5)
    assert metrics.curve[0]["reverse_kl"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher_logprobs": ()}, "'o0' has 6 token_ids and 0 teacher_logprobs"),
        ({"teacher_logprobs": (-1.0,) * 5}, "'o0' has 6 token_ids and 5 teacher_logprobs"),
        ({"token_ids": (), "teacher_logprobs": ()}, "'o0' has 0 token_ids"),
        ({"teacher_logprobs": (-1.0,) * 5 + (float("nan"),)}, "'o0' has nan among its teacher_logprobs"),
        ({"teacher_logprobs": (-1.0,) * 5 + (-float("inf"),)}, "'o0' has -inf among its teacher_logprobs"),
        ({"teacher_logprobs": (-1.0,) * 5 + (0.5,)}, "'o0' has 0.5 among its teacher_logprobs"),
        ({"token_ids": (5, 6, 7, 8, 9, 10**6)}, "'o0' has the token 1000000 among its token_ids"),
        ({"token_ids": (5, 6, 7, 8, 9, -1)}, "'o0' has the token -1 among its token_ids"),
    ],
)
def test_what_is_no_draft_with_its_scores_is_refused(student: BuildStudent, changes: dict[str, Any], said: str) -> None:
    one = student("llama")
    model = adapted(one, LoRASettings(r=2), seed=1)
    with pytest.raises(TrainingError, match=said):
        fine_tune(one, model, [replace(draft(0), **changes)], objective="opd", settings=FineTuneSettings(), seed=1)


def test_a_pair_is_no_draft(student: BuildStudent) -> None:
    one = student("llama")
    model = adapted(one, LoRASettings(r=2), seed=1)
    pair = TrainingExample("p", messages(TEXTS[0]), ("Good.", "Bad."))
    with pytest.raises(TrainingError, match="'p' has 0 token_ids"):
        fine_tune(one, model, [pair], objective="opd", settings=FineTuneSettings(), seed=1)


def test_a_draft_that_is_too_long_is_left_out_and_told(student: BuildStudent) -> None:
    one = student("llama")
    model = adapted(one, LoRASettings(r=2), seed=1)
    settings = FineTuneSettings(epochs=1, max_length=100)
    metrics = fine_tune(one, model, [draft(0), draft(1, 400)], objective="opd", settings=settings, seed=1)
    assert (metrics.examples, metrics.left_out) == (1, ("o1",))
