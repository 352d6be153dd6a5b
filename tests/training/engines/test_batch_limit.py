"""An engine whose memory runs out goes on with fewer texts at a time, and says the same."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from openmic.core.errors import GenerationError, MemoryFullError
from openmic.core.records import AdapterRef, GenerationRequest
from openmic.core.student_settings import ContinuousSettings, SlotsSettings
from openmic.training.engines.conformance import ask, scenario
from openmic.training.engines.continuous import ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.slots.engine import SlotsEngine
from openmic.training.engines.static import BatchGenerator, StaticEngine
from openmic.training.student.student import LoadedStudent

from ..conftest import BuildStudent
from ..factories import TEXTS, request, tokens
from ..short_memory import memory_for

REQUESTS = [request(text, seed=seed, max_tokens=6) for seed, text in enumerate(TEXTS)]


def generator_of(student: LoadedStudent, most: int = 8) -> BatchGenerator:
    return BatchGenerator(student, max_batch=most)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_batches_become_smaller_and_stay_so(student: BuildStudent, name: str) -> None:
    expected = tokens(generator_of(student(name)), REQUESTS)
    one = student(name)
    generator = generator_of(one)
    with memory_for(one.model, 2) as seen:
        found = generator.generate(REQUESTS)
        assert [each.token_ids for each in found] == expected
        assert found[-1].batch_limit == 2
        failed = sum(rows > 2 for rows in seen)
        assert failed > 0
        assert tokens(generator, REQUESTS) == expected
        assert sum(rows > 2 for rows in seen) == failed


def test_searches_likewise(student: BuildStudent) -> None:
    asked = [
        request(text, temperature=0.0, num_beams=2, beam=beam, max_tokens=6) for text in TEXTS for beam in range(2)
    ]
    expected = tokens(generator_of(student("llama")), asked)
    one = student("llama")
    with memory_for(one.model, 2):
        found = generator_of(one).generate(asked)
    assert [each.token_ids for each in found] == expected
    assert found[-1].batch_limit == 2


def test_a_text_that_is_too_much_alone_fails_and_others_do_not(student: BuildStudent) -> None:
    one = student("llama")
    long = request("A kettle. " * 40, max_tokens=6)
    with memory_for(one.model, 200, dimension=1):

        async def test(engine: StudentEngine) -> None:
            assert len(await ask(engine, REQUESTS)) == len(REQUESTS)
            with pytest.raises(GenerationError, match=r"alone.*shorten the input or lower sampling.max_tokens"):
                await engine.generate(long)
            assert (await ask(engine, REQUESTS))[0].token_ids

        scenario(lambda: StaticEngine(one, max_batch=8, wait_ms=2.0, threads=1))(test)


@pytest.mark.parametrize("answered_before", [False, True])
def test_where_there_is_no_memory_for_any_the_run_ends(student: BuildStudent, answered_before: bool) -> None:
    one = student("llama")

    async def test(engine: StudentEngine) -> None:
        if answered_before:
            await ask(engine, REQUESTS)
        with memory_for(one.model, 0), pytest.raises(MemoryFullError, match=r"a single request to the student.*resume"):
            await engine.generate(REQUESTS[0])

    scenario(lambda: StaticEngine(one, max_batch=8, wait_ms=2.0, threads=1))(test)


def continuous(student: LoadedStudent, **limits: int) -> ContinuousEngine:
    return ContinuousEngine(
        student, max_batch=8, limits=ContinuousSettings.model_validate({"step_tokens": 128, **limits}), threads=1
    )


def test_the_continuous_engine_starts_again_with_less(student: BuildStudent) -> None:
    answers: list[list[Any]] = []

    async def test(engine: StudentEngine) -> None:
        answers.append(await ask(engine, REQUESTS))

    scenario(lambda: continuous(student("llama")))(test)
    one = student("llama")
    with memory_for(one.model, 40, dimension=1) as seen:

        async def short(engine: StudentEngine) -> None:
            await test(engine)
            failed = sum(wide > 40 for wide in seen)
            assert failed == 2
            await test(engine)
            assert sum(wide > 40 for wide in seen) == failed

        scenario(lambda: continuous(one))(short)
    assert [each.token_ids for each in answers[1]] == [each.token_ids for each in answers[0]]
    assert [each.token_ids for each in answers[2]] == [each.token_ids for each in answers[0]]
    assert answers[1][0].batch_limit == 2


def test_memory_that_runs_out_while_a_version_is_let_go_of_stops_neither(
    student: BuildStudent, adapters: list[AdapterRef]
) -> None:
    one = student("llama")

    async def test(engine: StudentEngine) -> None:
        await engine.load(adapters[0])
        with memory_for(one.model, 40, dimension=1) as seen:
            asked = [replace(each, adapter=1) for each in REQUESTS]
            answering = asyncio.gather(*(engine.generate(each) for each in asked))
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                await engine.unload(1)
                assert len(await answering) == len(asked)
        assert any(wide > 40 for wide in seen)
        assert engine.loaded == (0,)

    scenario(lambda: continuous(one))(test)


def test_the_continuous_engine_without_memory_for_any_says_so(student: BuildStudent) -> None:
    one = student("llama")

    async def test(engine: StudentEngine) -> None:
        with memory_for(one.model, 0, dimension=1):
            for _ in range(2):
                with pytest.raises(MemoryFullError, match="a single request to the student"):
                    await engine.generate(REQUESTS[0])
        asked: list[GenerationRequest] = REQUESTS[:2]
        assert len(await ask(engine, asked)) == 2

    scenario(lambda: continuous(one))(test)


def slots(student: LoadedStudent, most: int = 8) -> SlotsEngine:
    return SlotsEngine(student, max_batch=most, limits=SlotsSettings(), threads=1)


def test_the_slots_become_fewer_and_stay_so(student: BuildStudent, adapters: list[AdapterRef]) -> None:
    one, answers = student("llama"), list[list[Any]]()
    asked = [replace(each, adapter=number % 2) for number, each in enumerate(REQUESTS)]

    async def test(engine: StudentEngine) -> None:
        await engine.load(adapters[0])
        answers.append(await ask(engine, asked))

    scenario(lambda: slots(student("llama")))(test)
    with memory_for(one.model, 2) as seen:

        async def short(engine: StudentEngine) -> None:
            await test(engine)
            failed = sum(rows > 2 for rows in seen)
            assert failed > 0
            async with asyncio.timeout(60):
                answering = asyncio.gather(*(engine.generate(each) for each in asked))
                await asyncio.sleep(0)
                await engine.unload(1)
                answers.append(await answering)
            assert sum(rows > 2 for rows in seen) == failed

        scenario(lambda: slots(one))(short)
    whole, *others = ([each.token_ids for each in found] for found in answers)
    assert others == [whole, whole]
    assert (answers[0][0].batch_limit, answers[2][0].batch_limit) == (None, 2)


def test_the_slots_engine_without_memory_for_any_says_so_and_goes_on_when_there_is(student: BuildStudent) -> None:
    one = student("llama")

    async def test(engine: StudentEngine) -> None:
        with memory_for(one.model, 0):
            for _ in range(2):
                with pytest.raises(MemoryFullError, match="a single request to the student"):
                    await engine.generate(REQUESTS[0])
        assert len(await ask(engine, REQUESTS)) == len(REQUESTS)

    scenario(lambda: slots(one))(test)


def test_a_text_that_is_too_much_alone_fails_and_others_in_slots_do_not(student: BuildStudent) -> None:
    one = student("llama")
    long = request("A kettle. " * 40, max_tokens=6)

    async def test(engine: StudentEngine) -> None:
        await ask(engine, REQUESTS)
        with memory_for(one.model, 128, dimension=1), pytest.raises(GenerationError, match="alone"):
            await engine.generate(long)
        assert (await ask(engine, REQUESTS))[0].token_ids

    scenario(lambda: slots(one))(test)
