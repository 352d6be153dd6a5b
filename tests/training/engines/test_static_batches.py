from pathlib import Path

import pytest
import torch

from openmic.core.errors import AdapterError, GenerationError
from openmic.core.records import AdapterRef, GenerationRequest
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.engine import ADAPTERS_KEPT
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import render_prompt

from ..conftest import BuildStudent
from ..factories import TEXTS, messages, request, tokens

EVERY_STUDENT = pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
MIXED = [
    *(request(text, seed=seed, max_tokens=20, id=f"{text[:3]}{seed}") for text in TEXTS[:3] for seed in (1, 2, 3)),
    request(TEXTS[3], seed=4, temperature=0.7, top_p=0.9, max_tokens=30),
    request(TEXTS[0], seed=5, temperature=0.0, max_tokens=7),
    request(TEXTS[1], seed=6, top_p=0.5, max_tokens=1),
]
"""Prompts of several lengths, some of them shared, with samplings and limits of their own."""


def engine_of(student: LoadedStudent, *loaded: AdapterRef, max_batch: int = 16) -> BatchGenerator:
    engine = BatchGenerator(student, max_batch=max_batch)
    for ref in loaded:
        engine.load(ref)
    return engine


def greedy_by_hand(student: LoadedStudent, asked: GenerationRequest) -> list[int]:
    """Token after token from plain unpadded forward passes."""
    prompt = render_prompt(student, asked.messages)
    said: list[int] = []
    with torch.no_grad():
        while len(said) < asked.sampling.max_tokens and (not said or said[-1] != student.tokenizer.eos_token_id):
            if student.kind == "causal":
                logits = student.model(input_ids=torch.tensor([prompt + said])).logits
            else:
                start = student.model.config.decoder_start_token_id
                logits = student.model(
                    input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start, *said]])
                ).logits
            said.append(int(logits[0, -1].argmax()))
    return said


@EVERY_STUDENT
def test_greedy_equals_plain_forward_passes(student: BuildStudent, name: str) -> None:
    one = student(name)
    asked = [request(text, temperature=0.0, max_tokens=20) for text in (*TEXTS, TEXTS[0])]
    expected = [tuple(greedy_by_hand(one, each)) for each in asked]
    assert len(set(expected)) > 1
    assert tokens(engine_of(one), asked) == expected


@EVERY_STUDENT
def test_the_same_request_gets_the_same_text_alone_and_in_any_batch(student: BuildStudent, name: str) -> None:
    engine = engine_of(student(name))
    alone = [tokens(engine, [each])[0] for each in MIXED]
    assert len(set(alone)) >= len(MIXED) - 2
    assert tokens(engine, MIXED) == alone
    assert tokens(engine, MIXED[::-1]) == alone[::-1]
    assert tokens(engine_of(student(name), max_batch=2), MIXED) == alone


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_prompt_that_is_read_once_for_many_rows_changes_no_token(student: BuildStudent, name: str) -> None:
    engine = engine_of(student(name))
    asked = [request(TEXTS[1], seed=seed, max_tokens=25) for seed in range(6)]
    others = [request(TEXTS[0], seed=seed, max_tokens=25) for seed in range(6)]
    apart = [tokens(engine, [each])[0] for each in asked + others]
    assert len(set(apart)) == 12
    assert tokens(engine, asked) == apart[:6]  # all rows share one prompt
    assert tokens(engine, asked + others) == apart  # two prompts, one of them padded


def test_other_seeds_give_other_texts(student: BuildStudent) -> None:
    assert len(set(tokens(engine_of(student("llama")), [request(seed=seed) for seed in range(8)]))) == 8


def test_rows_of_one_batch_have_limits_of_their_own(student: BuildStudent) -> None:
    limits = [1, 2, 8, 9, 23, 40]
    asked = [request(seed=seed, max_tokens=limit) for seed, limit in enumerate(limits)]
    for generation, limit in zip(engine_of(student("llama")).generate(asked), limits, strict=True):
        assert len(generation.token_ids) <= limit
        assert (len(generation.token_ids) == limit) or generation.finish_reason == "stop"


@EVERY_STUDENT
def test_a_text_stops_at_its_end_and_says_so(student: BuildStudent, name: str) -> None:
    one = student(name)
    eos = one.tokenizer.eos_token_id
    asked = [request(TEXTS[seed % 4], seed=seed, temperature=2.0, max_tokens=40) for seed in range(60)]
    found = engine_of(one, max_batch=60).generate(asked)
    reasons = [generation.finish_reason for generation in found]
    assert {"stop", "length"} == set(reasons)
    for generation in found:
        assert eos not in generation.token_ids[:-1]
        if generation.finish_reason == "stop":
            assert generation.token_ids[-1] == eos
        else:
            assert len(generation.token_ids) == 40
            assert generation.token_ids[-1] != eos


def test_an_answer_tells_what_it_answers(student: BuildStudent) -> None:
    llama = student("llama")
    engine = BatchGenerator(llama, max_batch=2, worker="here")
    for asked, generation in zip(MIXED, engine.generate(MIXED), strict=True):
        assert generation.request_id == asked.id
        assert generation.prompt_tokens == len(render_prompt(llama, asked.messages))
        assert generation.text == llama.tokenizer.decode(generation.token_ids, skip_special_tokens=True).strip()
        assert "<|im_end|>" not in generation.text
        assert (generation.worker, generation.adapter_version) == ("here", 0)
        assert generation.latency_ms > 0


def test_nothing_asked_is_nothing_answered(student: BuildStudent) -> None:
    assert engine_of(student("llama")).generate([]) == []


def test_adapters_answer_side_by_side_in_one_call(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    one, two = adapters[:2]
    expected = {
        0: tokens(engine_of(student("llama")), [request(seed=3)])[0],
        1: tokens(engine_of(student("llama"), one), [request(seed=3, adapter=1)])[0],
        2: tokens(engine_of(student("llama"), two), [request(seed=3, adapter=2)])[0],
    }
    assert len(set(expected.values())) == 3
    engine = engine_of(student("llama"), one, two)
    order = [2, 0, 1, 2, 1, 0, 2, 0]
    found = engine.generate([request(seed=3, adapter=version, id=str(version)) for version in order])
    assert [generation.adapter_version for generation in found] == order
    assert [generation.token_ids for generation in found] == [expected[version] for version in order]


def test_a_seq2seq_student_answers_with_its_adapter(student: BuildStudent, tmp_path: Path) -> None:
    one = student("t5")
    adapted = random_adapter(one.model, "seq2seq", seed=5)
    ref = commit_adapter(adapted, tmp_path, 1, {"parent": 0})
    engine = engine_of(one, ref)
    asked = request(temperature=0.0)
    trained = LoadedStudent(one.name, one.kind, adapted, one.tokenizer, "cpu")
    assert tokens(engine, [request(temperature=0.0, adapter=1)]) == [tuple(greedy_by_hand(trained, asked))]
    assert tokens(engine, [asked]) == tokens(engine_of(student("t5")), [asked])


def test_an_adapter_answers_as_the_model_it_was_saved_from(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    llama = student("llama")
    trained = LoadedStudent("x", "causal", random_adapter(llama.model, "causal", seed=2), llama.tokenizer, "cpu")
    engine = engine_of(llama, *adapters[:2])
    for text in TEXTS:
        asked = request(text, temperature=0.0, max_tokens=20, adapter=2)
        assert tokens(engine, [asked]) == [tuple(greedy_by_hand(trained, asked))]


def test_an_adapter_that_is_not_loaded_is_an_error(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    engine = engine_of(student("llama"), adapters[0])
    with pytest.raises(GenerationError, match=r"adapter version 7 is not loaded; loaded are \[0, 1\]"):
        engine.generate([request(adapter=7)])


def test_an_adapter_that_does_not_fit_leaves_the_old_one_serving(
    student: BuildStudent, adapters: list[AdapterRef], misfit: AdapterRef
) -> None:
    engine = engine_of(student("llama"), adapters[0])
    asked = [request(seed=1, adapter=1), request(seed=1)]
    before = tokens(engine, asked)
    with pytest.raises(AdapterError, match="adapter version 9 does not load"):
        engine.load(misfit)
    assert engine.loaded == (0, 1)
    assert tokens(engine, asked) == before
    with pytest.raises(GenerationError, match="adapter version 9 is not loaded"):
        engine.generate([request(adapter=9)])


def test_a_first_adapter_that_does_not_fit_leaves_the_base_model_serving(
    student: BuildStudent, adapters: list[AdapterRef], misfit: AdapterRef
) -> None:
    engine = engine_of(student("llama"))
    before = tokens(engine, MIXED)
    with pytest.raises(AdapterError, match="adapter version 9 does not load"):
        engine.load(misfit)
    assert engine.loaded == (0,)
    assert tokens(engine, MIXED) == before
    engine.load(adapters[0])
    asked = [request(adapter=1), request()]
    assert tokens(engine, asked) == tokens(engine_of(student("llama"), adapters[0]), asked)
    assert tokens(engine, asked[1:]) == tokens(engine_of(student("llama")), asked[1:])


@pytest.mark.parametrize("others", [0, 1])
def test_a_version_that_did_not_fit_can_be_loaded_once_it_does(
    student: BuildStudent, adapters: list[AdapterRef], misfit: AdapterRef, tmp_path: Path, others: int
) -> None:
    mended = commit_adapter(random_adapter(student("llama").model, "causal", seed=9), tmp_path, 9, {"parent": 0})
    engine = engine_of(student("llama"), *adapters[:others])
    with pytest.raises(AdapterError):
        engine.load(misfit)
    engine.load(mended)
    asked = [request(adapter=9)]
    assert tokens(engine, asked) == tokens(engine_of(student("llama"), mended), asked)


def test_an_altered_adapter_is_not_loaded(student: BuildStudent, tmp_path: Path) -> None:
    llama = student("llama")
    ref = commit_adapter(random_adapter(llama.model, "causal", seed=1), tmp_path, 1, {"parent": 0})
    weights = Path(str(ref.uri), "adapter_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    engine = engine_of(llama)
    with pytest.raises(AdapterError, match="was altered"):
        engine.load(ref)
    assert engine.loaded == (0,)


def test_the_least_recently_used_adapter_is_dropped(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    assert ADAPTERS_KEPT == 3
    engine = engine_of(student("llama"), *adapters[:3])
    expected = tokens(engine, [request(adapter=1), request(adapter=3)])
    engine.load(adapters[3])
    assert tokens(engine, [request(adapter=1), request(adapter=3)]) == expected
    with pytest.raises(GenerationError, match="adapter version 2 is not loaded"):
        engine.generate([request(adapter=2)])
    engine.load(adapters[1])  # and can be had again; by now 4 was used least recently
    assert engine.generate([request(adapter=2)])[0].adapter_version == 2
    with pytest.raises(GenerationError, match="adapter version 4 is not loaded"):
        engine.generate([request(adapter=4)])


def test_an_adapter_that_is_to_be_kept_is_never_dropped(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    engine = engine_of(student("llama"), adapters[0])
    for ref in adapters[1:]:
        engine.load(ref, keep=[1])
    assert engine.generate([request(adapter=1)])[0].adapter_version == 1


def test_prompts_have_several_lengths(student: BuildStudent) -> None:
    llama = student("llama")
    assert len({len(render_prompt(llama, messages(text))) for text in TEXTS}) >= 3


def test_prompts_of_very_different_lengths_do_not_share_a_batch(student: BuildStudent) -> None:
    engine = engine_of(student("llama"))
    prompts = [[1] * length for length in (40, 10, 200, 11, 12, 13)]
    assert list(engine._batches(range(6), prompts, 3)) == [[1, 3, 4], [5], [0], [2]]
