from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from openmic.core.errors import GenerationError
from openmic.core.records import AdapterRef, GenerationRequest
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import render_prompt

from ..conftest import BuildStudent
from ..factories import TEXTS, request, tokens

EVERY_STUDENT = pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
BEAMS = 4


def every_beam(text: str = TEXTS[0], **changes: Any) -> list[GenerationRequest]:
    """A request for each beam of one search."""
    settings = {"temperature": 0.0, "max_tokens": 10, "num_beams": BEAMS} | changes
    return [request(text, beam=beam, id=f"{text[:3]}{beam}", **settings) for beam in range(settings["num_beams"])]


def by_transformers(student: LoadedStudent, asked: list[GenerationRequest], **changes: Any) -> list[tuple[int, ...]]:
    """The beams of one prompt by transformers' own search, cut after their end."""
    sampling, prompt = asked[0].sampling, render_prompt(student, asked[0].messages)
    with torch.no_grad():
        found = student.model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=sampling.max_tokens,
            num_beams=sampling.num_beams,
            num_return_sequences=sampling.num_beams,
            eos_token_id=student.tokenizer.eos_token_id,
            pad_token_id=student.tokenizer.pad_token_id,
            **{"do_sample": False} | changes,
        )
    eos, rows = student.tokenizer.eos_token_id, found[:, 1 if student.kind == "seq2seq" else len(prompt) :].tolist()
    return [tuple(row[: row.index(eos) + 1] if eos in row else row) for row in rows]


@EVERY_STUDENT
def test_the_beams_are_those_of_transformers(student: BuildStudent, name: str) -> None:
    one = student(name)
    asked = [every_beam(text) for text in TEXTS]
    expected = [by_transformers(one, group) for group in asked]
    assert len({beam for beams in expected for beam in beams}) > 3 * BEAMS
    found = tokens(BatchGenerator(one, max_batch=64), [each for group in asked for each in group])
    assert found == [beam for beams in expected for beam in beams]


@EVERY_STUDENT
def test_sampled_beams_are_those_of_transformers_under_the_same_seed(student: BuildStudent, name: str) -> None:
    one = student(name)
    asked = every_beam(seed=11, temperature=1.3)
    torch.manual_seed(11)
    expected = by_transformers(one, asked, do_sample=True, temperature=1.3, top_k=0)
    assert tokens(BatchGenerator(one, max_batch=64), asked) == expected
    assert expected != by_transformers(one, asked)


@EVERY_STUDENT
def test_a_search_finds_the_same_alone_and_in_any_company(student: BuildStudent, name: str) -> None:
    mixed = [
        *(each for text in TEXTS[:3] for each in every_beam(text)),
        *every_beam(TEXTS[1], seed=3, temperature=0.8),
        *every_beam(TEXTS[1], seed=4, temperature=0.8, top_p=0.6, num_beams=3),
        *every_beam(TEXTS[0], num_beams=2, max_tokens=5),
        *(request(text, seed=seed, id=f"n{seed}") for seed, text in enumerate(TEXTS)),
    ]
    engine = BatchGenerator(student(name), max_batch=64)
    alone = [tokens(engine, [each])[0] for each in mixed]
    assert len(set(alone)) >= len(mixed) - 3
    assert tokens(engine, mixed) == alone
    assert tokens(engine, mixed[::-1]) == alone[::-1]
    assert tokens(BatchGenerator(student(name), max_batch=3), mixed) == alone


def test_other_seeds_draw_other_beams_and_an_exact_search_has_no_seed(student: BuildStudent) -> None:
    engine = BatchGenerator(student("llama"), max_batch=64)
    drawn = [tuple(tokens(engine, every_beam(seed=seed, temperature=1.0))) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert tokens(engine, every_beam(seed=1)) == tokens(engine, every_beam(seed=2))


def test_drawing_beams_leaves_the_random_numbers_of_others_alone(student: BuildStudent) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    tokens(BatchGenerator(student("llama"), max_batch=64), every_beam(temperature=1.0))
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_STUDENT
def test_a_nucleus_of_one_token_still_gives_every_beam(student: BuildStudent, name: str) -> None:
    found = tokens(BatchGenerator(student(name), max_batch=64), every_beam(temperature=0.5, top_p=0.01))
    assert len(set(found)) == BEAMS
    assert all(found)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each call of transformers' search was about."""
    counts: list[int] = []
    generate = LlamaForCausalLM.generate

    def counted(model: Any, **options: Any) -> Any:
        counts.append(len(options["input_ids"]))
        return generate(model, **options)

    monkeypatch.setattr(LlamaForCausalLM, "generate", counted)
    return counts


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_requests_of_one_search_are_answered_from_one(
    student: BuildStudent, searched: list[int], temperature: float
) -> None:
    found = BatchGenerator(student("llama"), max_batch=64).generate(every_beam(temperature=temperature) * 2)
    assert searched == [1]
    assert len({generation.token_ids for generation in found}) == BEAMS


def test_exact_searches_share_a_batch_as_far_as_their_beams_fit(student: BuildStudent, searched: list[int]) -> None:
    texts = [f"The bus was {word}." for word in ("late", "red", "full")]
    asked = [each for text in texts for each in every_beam(text)]
    BatchGenerator(student("llama"), max_batch=2 * BEAMS + 1).generate(asked)
    assert sorted(searched) == [1, 2]


@pytest.mark.parametrize(("beam", "num_beams"), [(4, 4), (-1, 4), (1, 1)])
def test_a_beam_that_does_not_exist_is_an_error(student: BuildStudent, beam: int, num_beams: int) -> None:
    engine = BatchGenerator(student("llama"), max_batch=64)
    with pytest.raises(GenerationError, match=rf"request 'r' asks for beam {beam} of {num_beams}: .*num_beams"):
        engine.generate([request(beam=beam, num_beams=num_beams)])


def test_a_search_is_made_with_the_adapter_it_asks_for(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    base = student("llama")
    adapted = random_adapter(base.model, "causal", seed=1)
    expected = [
        beam
        for model in (base.model, adapted)
        for beam in by_transformers(LoadedStudent("x", "causal", model, base.tokenizer, "cpu"), every_beam())
    ]
    assert expected[:BEAMS] != expected[BEAMS:]
    engine = BatchGenerator(student("llama"), max_batch=64)
    engine.load(adapters[0])
    assert tokens(engine, [each for version in (0, 1) for each in every_beam(adapter=version)]) == expected


def test_a_seq2seq_search_is_made_with_its_adapter(student: BuildStudent, tmp_path: Path) -> None:
    one = student("t5")
    adapted = random_adapter(one.model, "seq2seq", seed=5)
    engine = BatchGenerator(one, max_batch=64)
    engine.load(commit_adapter(adapted, tmp_path, 1, {"parent": 0}))
    expected = by_transformers(LoadedStudent(one.name, one.kind, adapted, one.tokenizer, "cpu"), every_beam())
    assert tokens(engine, every_beam(adapter=1)) == expected
