"""What prompts begin with in common is read once, and never through another adapter than the request's own."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.core.student_settings import ContinuousSettings
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.conformance import ask, scenario
from openmic.training.engines.continuous import PAGE, ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.prefix_sharing import Marks, request_key
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import render_prompt

from ..conftest import BuildStudent
from ..factories import TEXTS, request

pytestmark = pytest.mark.slow
LONG = TEXTS[1] * 3


@contextmanager
def tokens_read(student: LoadedStudent) -> Iterator[list[int]]:
    """How many tokens went through the model in each of its steps."""
    steps: list[int] = []

    def count(_: object, inputs: tuple[Any, ...]) -> None:
        steps.append(inputs[0].numel())

    handle = student.model.get_input_embeddings().register_forward_pre_hook(count)
    yield steps
    handle.remove()


def engine_of(student: LoadedStudent, **limits: int) -> ContinuousEngine:
    settings = ContinuousSettings.model_validate(limits)
    return ContinuousEngine(student, max_batch=16, limits=settings, threads=1)


def same_as_reference(student: BuildStudent, adapters: Sequence[AdapterRef], asked: Sequence[GenerationRequest]) -> Any:
    reference = BatchGenerator(student("llama"), max_batch=16)
    for ref in adapters:
        reference.load(ref)
    return [each.token_ids for each in reference.generate(asked)]


def written(generations: Sequence[Generation]) -> int:
    """How many of the tokens that went through the model were generated; the last of a text never does."""
    return sum(len(each.token_ids) - 1 for each in generations)


def in_whole_blocks(tokens: int) -> int:
    """How many of a prompt's tokens can be shared: whole blocks, and never the last token."""
    return (tokens - 1) // PAGE * PAGE


def test_candidates_that_arrive_together_read_their_prompt_once(student: BuildStudent) -> None:
    llama = student("llama")
    asked = [request(LONG, seed=seed, max_tokens=3) for seed in range(6)]
    prompt = len(render_prompt(llama, asked[0].messages))

    @scenario(lambda: engine_of(llama))
    async def test(engine: StudentEngine) -> None:
        with tokens_read(llama) as steps:
            found = await ask(engine, asked)
            assert sum(steps) - written(found) == prompt + 5 * (prompt - in_whole_blocks(prompt))
            found += await ask(engine, asked)
        assert sum(steps) - written(found) == prompt + 11 * (prompt - in_whole_blocks(prompt))


def test_a_beginning_is_shared_by_prompts_that_go_on_differently(student: BuildStudent) -> None:
    llama = student("llama")
    asked = [request(LONG + ending, max_tokens=3) for ending in TEXTS]
    prompts = [render_prompt(llama, each.messages) for each in asked]
    common = next(i for i, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)
    shared = common // PAGE * PAGE
    assert shared > 20

    @scenario(lambda: engine_of(llama))
    async def test(engine: StudentEngine) -> None:
        with tokens_read(llama) as steps:
            found = await ask(engine, asked)
        assert sum(steps) - written(found) == sum(map(len, prompts)) - 3 * shared
        assert [each.token_ids for each in found] == same_as_reference(student, [], asked)


def test_a_long_prompt_that_is_read_in_parts_is_still_read_once(student: BuildStudent) -> None:
    llama = student("llama")
    asked = [request(LONG, seed=seed, max_tokens=8) for seed in range(4)]
    prompt = len(render_prompt(llama, asked[0].messages))
    assert prompt > 3 * 16

    @scenario(lambda: engine_of(llama, step_tokens=16))
    async def test(engine: StudentEngine) -> None:
        with tokens_read(llama) as steps:
            found = await ask(engine, asked)
        assert sum(steps) - written(found) == prompt + 3 * (prompt - in_whole_blocks(prompt))
        assert [each.token_ids for each in found] == same_as_reference(student, [], asked)


def test_versions_side_by_side_do_not_read_each_others_prompts(
    student: BuildStudent, adapters: list[AdapterRef]
) -> None:
    asked = [request(LONG, temperature=0.0, max_tokens=12, adapter=i % 4, id=f"r{i}") for i in range(12)]
    expected = same_as_reference(student, adapters[:3], asked)
    assert len(set(expected)) == 4

    @scenario(lambda: engine_of(student("llama")), *adapters[:3])
    async def test(engine: StudentEngine) -> None:
        for order in (asked, asked[::-1], asked):
            found = await ask(engine, order)
            assert {each.request_id: each.token_ids for each in found} == {
                each.id: tokens for each, tokens in zip(asked, expected, strict=True)
            }


def test_another_adapter_under_a_version_that_was_there_before_starts_anew(
    student: BuildStudent, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    other = commit_adapter(random_adapter(student("llama").model, "causal", seed=77), tmp_path, 1, {"parent": 0})
    asked = [request(LONG, temperature=0.0, max_tokens=12, adapter=1)]
    [first], [second] = (same_as_reference(student, [ref], asked) for ref in (adapters[0], other))
    assert first != second

    @scenario(lambda: engine_of(student("llama")), adapters[0])
    async def test(engine: StudentEngine) -> None:
        for ref, expected in ((adapters[0], first), (other, second), (adapters[0], first)):
            await engine.load(ref)
            assert [each.token_ids for each in await ask(engine, asked)] == [expected]
            await engine.unload(1)


def test_a_crowd_with_one_prompt_and_hardly_any_room_is_answered(student: BuildStudent) -> None:
    asked = [request(LONG, seed=i, max_tokens=60, id=f"r{i}") for i in range(20)]
    expected = same_as_reference(student, [], asked)

    @scenario(lambda: engine_of(student("llama"), cache_tokens=256))
    async def test(engine: StudentEngine) -> None:
        assert [each.token_ids for each in await ask(engine, asked)] == expected


def test_giving_up_while_others_wait_for_the_same_prompt_leaves_them_unharmed(student: BuildStudent) -> None:
    asked = [request(LONG, seed=i, max_tokens=10, id=f"r{i}") for i in range(6)]
    expected = same_as_reference(student, [], asked)

    @scenario(lambda: engine_of(student("llama"), step_tokens=16))
    async def test(engine: StudentEngine) -> None:
        running = [asyncio.create_task(engine.generate(each)) for each in asked]
        await asyncio.sleep(0)
        running[0].cancel()
        found = await asyncio.gather(*running[1:])
        assert [each.token_ids for each in found] == expected[1:]


def test_marks_tell_token_and_adapter_apart() -> None:
    marks = Marks()
    texts = [
        marks.marked(request_key(load, number), [token, 5])
        for load in (0, 1, 10)
        for number in (1, 2)
        for token in (0, 7)
    ]
    assert all(mark < 0 and rest == 5 for mark, rest in texts)
    assert len({mark for mark, _ in texts}) == 3 * 2
    assert marks.marked(request_key(1, 99), [7, 8, 9]) == [texts[5][0], 8, 9]
