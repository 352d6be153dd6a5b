"""What every engine must do, as tests to be inherited; `openmic.testing.EngineConformance` to those outside."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest

from ...core.errors import AdapterError, GenerationError
from ...core.records import NO_ADAPTER, AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from ...core.student_settings import StudentSettings
from ..student.tokenization import render_prompt
from .engine import ADAPTERS_KEPT, StudentEngine
from .tiny_student import SECOND_END, TinyStudent, random_adapter, tiny_student

BuildEngine = Callable[[], StudentEngine]
"""Makes an engine around the tiny student."""
TEXTS = (
    "The bus was late.",
    "My brother forgot our mother's birthday again and sent her a card with my name in it.",
    "I bought a new umbrella this morning.",
    "Soup.",
)
"""Prompts of four lengths."""


def messages(text: str = TEXTS[0]) -> tuple[Message, ...]:
    """A prompt with a system message that all share."""
    return (Message(role="system", content="Be funny."), Message(role="user", content=text))


def request(
    text: str = TEXTS[0],
    *,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 12,
    num_beams: int = 1,
    beam: int = 0,
    adapter: int = 0,
    id: str = "r",  # noqa: A002 - the record's own name
) -> GenerationRequest:
    """A request with everything set that a test does not care for."""
    sampling = StudentSampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, num_beams=num_beams)
    return GenerationRequest(id, messages(text), sampling, seed, adapter, beam)


COUNT = 20
MIXED = [
    *(request(text, seed=seed, max_tokens=20, id=f"{text[:3]}{seed}") for text in TEXTS[:3] for seed in (1, 2, 3)),
    request(TEXTS[3], seed=4, temperature=0.7, top_p=0.9, max_tokens=30, id="cool"),
    request(TEXTS[0], seed=5, temperature=0.0, max_tokens=7, id="greedy"),
    request(TEXTS[1], seed=6, top_p=0.5, max_tokens=1, id="short"),
]


def scenario(build: BuildEngine, *adapters: AdapterRef) -> Callable[[Callable[[StudentEngine], Awaitable[None]]], None]:
    """Runs a test's coroutine with an engine that has the adapters, and that is closed in the end."""

    def run(test: Callable[[StudentEngine], Awaitable[None]]) -> None:
        async def whole() -> None:
            engine = build()
            try:
                for ref in adapters:
                    await engine.load(ref)
                await asyncio.wait_for(test(engine), 300)
            finally:
                await engine.close()

        asyncio.run(whole())

    return run


async def ask(engine: StudentEngine, requests: Sequence[GenerationRequest]) -> list[Generation]:
    """The answers to requests that are made at once."""
    return list(await asyncio.gather(*(engine.generate(each) for each in requests)))


async def idle(engine: StudentEngine) -> None:
    """Wait until the engine has nothing to do."""
    while engine.stats.waiting or engine.stats.running:  # noqa: ASYNC110 - an engine tells nobody when it is idle
        await asyncio.sleep(0.01)


class Reference(Protocol):
    """Says what an engine is to answer. Versions 0 to 3 are loaded."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """The answers, in the order of the requests."""


class Alone:
    """The engine itself, asked for one text after the other."""

    def __init__(self, build: BuildEngine, adapters: Sequence[AdapterRef]) -> None:
        self._build, self._adapters = build, adapters

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """The answers, in the order of the requests."""
        found: list[Generation] = []

        @scenario(self._build, *self._adapters)
        async def ask_one_by_one(engine: StudentEngine) -> None:
            found.extend([await engine.generate(each) for each in requests])

        return found


class EngineConformance:
    """Tests that every engine has to pass. Inherit it in a test file, and say how the engine is made.

        class TestMyEngine(EngineConformance):
            def make(self, settings):
                return MyEngine(settings, threads=1, worker="test")

    `settings.model` is the folder of a causal student that is made for the test. Where making an engine needs fixtures,
    override the fixture `build` instead, which gives a function without arguments; a fixture `tiny` gives the student.

    The student's weights are float64, and the engine should compute in it here: `from_pretrained(folder,
    dtype=torch.float64)`. In float32 the shape of a batch changes a logit's last digits by an amount that depends on
    the processor, one text in some hundreds then takes another turn, and no test could tell that from a defect.

    It asks that a text is the same alone and in any company, while adapters are loaded and dropped; that greedy texts
    are those of transformers' `generate`; and that errors are openmic's, and say in its words what is the matter:
    "adapter version 2 is not loaded", "adapter version 9 does not load", "… was altered", "… cannot be unloaded", "the
    engine is closed". It needs pytest, and takes seconds.
    """

    tells_tokens = True
    """Whether the engine says which tokens it generated; otherwise texts are compared."""
    samples_as_openmic = False
    """Whether it samples as the engines that ship, token for token; otherwise its texts are compared with its own."""

    def make(self, settings: StudentSettings) -> StudentEngine:
        """The engine that is tested."""
        raise NotImplementedError(f"{type(self).__name__} defines `make(self, settings)`, which makes the engine")

    def said(self, generations: Sequence[Generation]) -> list[object]:
        """What is to be the same."""
        return [each.token_ids if self.tells_tokens else each.text for each in generations]

    @pytest.fixture
    def tiny(self, tmp_path_factory: pytest.TempPathFactory) -> TinyStudent:
        """The student, and its adapters. Not to be altered."""
        return tiny_student(tmp_path_factory.getbasetemp() / "tiny-student")

    @pytest.fixture
    def build(self, tiny: TinyStudent) -> BuildEngine:
        """Makes an engine."""
        return lambda: self.make(tiny.settings)

    @pytest.fixture
    def reference(self, build: BuildEngine, tiny: TinyStudent) -> Reference:
        """What to compare with."""
        if not self.samples_as_openmic:
            return Alone(build, tiny.adapters[:3])
        from .static import BatchGenerator

        batches = BatchGenerator(tiny.fresh(), max_batch=64)
        for ref in tiny.adapters[:3]:
            batches.load(ref)
        return batches

    def test_a_request_gets_the_same_text_alone_and_in_any_company(
        self, build: BuildEngine, reference: Reference
    ) -> None:
        expected = reference.generate(MIXED)

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            together = await ask(engine, MIXED)
            backwards = await ask(engine, MIXED[::-1])
            alone = [await engine.generate(each) for each in MIXED]
            for found in (together, backwards[::-1], alone):
                assert self.said(found) == self.said(expected)

    def test_an_answer_tells_what_it_answers(self, build: BuildEngine, tiny: TinyStudent, reference: Reference) -> None:
        expected = reference.generate(MIXED)

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            for asked, found, same in zip(MIXED, await ask(engine, MIXED), expected, strict=True):
                assert (found.request_id, found.text, found.adapter_version) == (asked.id, same.text, 0)
                assert found.prompt_tokens == len(render_prompt(tiny.student, asked.messages))
                assert found.finish_reason == same.finish_reason
                assert found.latency_ms > 0
                assert found.queue_ms >= 0
                assert found.worker

    def test_texts_end_at_their_own_limit_or_by_themselves(
        self, build: BuildEngine, tiny: TinyStudent, reference: Reference
    ) -> None:
        asked = [
            request(TEXTS[seed % 4], seed=seed, temperature=2.0, max_tokens=1 + seed % 40, id=f"r{seed}")
            for seed in range(60)
        ]
        expected, ends = reference.generate(asked), tiny.student.ends
        assert {each.finish_reason for each in expected} == {"stop", "length"}
        assert {each.token_ids[-1] for each in expected if each.finish_reason == "stop"} == set(ends)

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            for each, found, same in zip(asked, await ask(engine, asked), expected, strict=True):
                assert self.said([found]) == self.said([same])
                assert found.finish_reason == same.finish_reason
                assert (found.token_ids[-1] in ends) == (found.finish_reason == "stop")
                assert not found.text.endswith(SECOND_END)
                assert len(found.token_ids) <= each.sampling.max_tokens or not self.tells_tokens

    def test_versions_answer_side_by_side(self, build: BuildEngine, tiny: TinyStudent, reference: Reference) -> None:
        asked = [request(TEXTS[i % 4], seed=i, adapter=i % 3, max_tokens=10 + i, id=f"r{i}") for i in range(18)]
        expected = reference.generate(asked)
        assert len({str(self.said(reference.generate([request(seed=1, adapter=v)]))) for v in (0, 1, 2)}) == 3

        @scenario(build, *tiny.adapters[:2])
        async def test(engine: StudentEngine) -> None:
            assert set(engine.loaded) == {0, 1, 2}
            found = await ask(engine, asked)
            assert [each.adapter_version for each in found] == [0, 1, 2] * 6
            assert self.said(found) == self.said(expected)

    def test_a_version_that_is_not_loaded_is_refused_and_disturbs_nobody(
        self, build: BuildEngine, tiny: TinyStudent
    ) -> None:
        asked = [request(seed=i, adapter=7 if i == 2 else i % 2, id=f"r{i}") for i in range(5)]

        @scenario(build, tiny.adapters[0])
        async def test(engine: StudentEngine) -> None:
            found = await asyncio.gather(*(engine.generate(each) for each in asked), return_exceptions=True)
            assert isinstance(found[2], GenerationError)
            assert "adapter version 7 is not loaded" in str(found[2])
            assert [getattr(each, "request_id", None) for each in found] == ["r0", "r1", None, "r3", "r4"]

    def test_right_after_every_swap_greedy_texts_are_those_of_plain_generate(
        self, build: BuildEngine, tiny: TinyStudent
    ) -> None:
        import torch

        llama = tiny.fresh()

        def asked(version: int) -> list[GenerationRequest]:
            return [request(text, temperature=0.0, max_tokens=20, adapter=version) for text in TEXTS]

        def plain(model: Any) -> list[object]:
            texts: list[object] = []
            for each in asked(0):
                prompt = torch.tensor([render_prompt(tiny.student, each.messages)])
                with torch.no_grad():
                    made = model.generate(
                        input_ids=prompt,
                        attention_mask=torch.ones_like(prompt),
                        max_new_tokens=20,
                        do_sample=False,
                        eos_token_id=list(llama.ends),
                        pad_token_id=llama.tokenizer.pad_token_id,
                    )
                ids = made[0, prompt.shape[1] :].tolist()
                said = ids[:-1] if ids[-1] in llama.ends else ids
                text = llama.tokenizer.decode(said, skip_special_tokens=True).strip()
                texts.append(tuple(ids) if self.tells_tokens else text)
            return texts

        order = [1, 2, 0, 3, 1, 4]
        expected = {version: plain(random_adapter(llama.model, "causal", seed=version)) for version in range(1, 5)}
        expected[0] = plain(llama.model)
        assert len({tuple(texts) for texts in expected.values()}) == 5

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            for version in order:
                await engine.load(tiny.adapters[version - 1] if version else NO_ADAPTER)
                found = await ask(engine, asked(version))
                assert {each.adapter_version for each in found} == {version}
                assert self.said(found) == expected[version]

    def test_swaps_under_load_lose_nothing_and_mix_nothing(
        self, build: BuildEngine, tiny: TinyStudent, reference: Reference
    ) -> None:
        asked = {
            version: [request(TEXTS[i % 4], seed=i, max_tokens=20, adapter=version, id=f"r{i}") for i in range(COUNT)]
            for version in range(4)
        }
        expected = {version: reference.generate(each) for version, each in asked.items()}

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            running: list[asyncio.Task[Generation]] = []
            for version in range(4):
                if version:
                    await engine.load(tiny.adapters[version - 1])
                running += [asyncio.create_task(engine.generate(each)) for each in asked[version]]
                await asyncio.wait(running[-COUNT:], return_when=asyncio.FIRST_COMPLETED)
            found = await asyncio.gather(*running)
            assert [each.request_id for each in found] == [f"r{i}" for i in range(COUNT)] * 4
            assert [each.adapter_version for each in found] == [v for v in range(4) for _ in range(COUNT)]
            assert self.said(found) == self.said([each for version in range(4) for each in expected[version]])
            assert engine.stats.swaps == 3

    def test_a_broken_adapter_leaves_the_others_as_they_were(
        self,
        build: BuildEngine,
        tiny: TinyStudent,
        reference: Reference,
    ) -> None:
        asked = [request(seed=3, adapter=version) for version in (1, 0)]
        expected = self.said(reference.generate(asked))

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            for before in (NO_ADAPTER, tiny.adapters[0]):
                await engine.load(before)
                with pytest.raises(AdapterError, match="was altered"):
                    await engine.load(tiny.altered)
                with pytest.raises(AdapterError, match="adapter version 9 does not load"):
                    await engine.load(tiny.misfit)
                assert set(engine.loaded) == {0, before.version}
            assert self.said(await ask(engine, asked)) == expected
            with pytest.raises(GenerationError, match="not loaded"):
                await engine.generate(request(adapter=9))

    def test_prompts_may_be_empty_or_long(self, build: BuildEngine, reference: Reference) -> None:
        asked = [request(text, seed=2, max_tokens=15) for text in ("", TEXTS[1] * 40, TEXTS[1] * 30, TEXTS[0])]
        expected = reference.generate(asked)
        assert max(each.prompt_tokens for each in expected) > 700

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            found = await ask(engine, asked)
            assert self.said(found) == self.said(expected)

    def test_a_prompt_that_the_student_cannot_hold_is_refused_alone(self, build: BuildEngine) -> None:
        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            asked = [request(), request(TEXTS[1] * 300), request()]
            found = await asyncio.gather(*(engine.generate(each) for each in asked), return_exceptions=True)
            assert isinstance(found[1], GenerationError)
            assert "needs" in str(found[1])
            assert isinstance(found[0], Generation)
            assert isinstance(found[2], Generation)

    def test_a_caller_that_gives_up_frees_its_place(self, build: BuildEngine, reference: Reference) -> None:
        asked = [request(TEXTS[i % 4], seed=i, max_tokens=30, id=f"r{i}") for i in range(8)]
        expected = reference.generate(asked)

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            endless = asyncio.create_task(engine.generate(request(temperature=0.0, max_tokens=300)))
            running = [asyncio.create_task(engine.generate(each)) for each in asked]
            await asyncio.sleep(0.02)
            for given_up in (endless, running[3]):
                given_up.cancel()
            found = await asyncio.gather(*running, return_exceptions=True)
            assert isinstance(found[3], asyncio.CancelledError)
            for i in (0, 1, 2, 4, 5, 6, 7):
                generation = found[i]
                assert isinstance(generation, Generation)
                assert self.said([generation]) == self.said([expected[i]])
            await idle(engine)
            assert self.said([await engine.generate(asked[3])]) == self.said([expected[3]])

    def test_many_at_once_are_all_answered_and_counted(self, build: BuildEngine) -> None:
        asked = [request(TEXTS[i % 4], seed=i, max_tokens=4, id=f"r{i}") for i in range(100)]

        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            found = await ask(engine, asked)
            assert [each.request_id for each in found] == [each.id for each in asked]
            await idle(engine)
            stats = engine.stats
            assert (stats.answered, stats.tokens) == (100, sum(len(each.token_ids) for each in found))
            assert stats.busy_s > 0
            assert stats.batched_rows >= stats.batches

    def test_requests_with_one_id_are_two_requests(self, build: BuildEngine) -> None:
        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            found = await ask(engine, [request(seed=1), request(seed=2)])
            assert found[0].token_ids != found[1].token_ids

    def test_what_is_loaded_is_not_loaded_again(self, build: BuildEngine, tiny: TinyStudent) -> None:
        @scenario(build, tiny.adapters[0])
        async def test(engine: StudentEngine) -> None:
            swaps = engine.stats.swaps
            for ref in (tiny.adapters[0], NO_ADAPTER):
                await engine.load(ref)
            assert set(engine.loaded) == {0, 1}
            assert engine.stats.swaps == swaps

    def test_the_least_recently_used_version_is_dropped(self, build: BuildEngine, tiny: TinyStudent) -> None:
        @scenario(build, *tiny.adapters[:3])
        async def test(engine: StudentEngine) -> None:
            assert len(engine.loaded) == 1 + ADAPTERS_KEPT
            await ask(engine, [request(adapter=1)])
            await ask(engine, [request(adapter=3)])
            await engine.load(tiny.adapters[3])
            assert set(engine.loaded) == {0, 1, 3, 4}
            with pytest.raises(GenerationError, match="adapter version 2 is not loaded"):
                await engine.generate(request(adapter=2))
            await engine.load(tiny.adapters[1])
            assert (await engine.generate(request(adapter=2))).adapter_version == 2

    def test_a_version_that_is_to_be_kept_is_not_dropped(self, build: BuildEngine, tiny: TinyStudent) -> None:
        @scenario(build, *tiny.adapters[:3])
        async def test(engine: StudentEngine) -> None:
            await ask(engine, [request(adapter=2)])
            await ask(engine, [request(adapter=3)])
            await engine.load(tiny.adapters[3], keep=[1])
            assert set(engine.loaded) == {0, 1, 3, 4}

    def test_a_version_is_unloaded_after_its_requests_are_answered(
        self, build: BuildEngine, tiny: TinyStudent, reference: Reference
    ) -> None:
        asked = [request(TEXTS[i % 4], seed=i, adapter=1, max_tokens=30, id=f"r{i}") for i in range(6)]
        expected, same = reference.generate(asked), reference.generate([request(seed=8)])

        @scenario(build, *tiny.adapters[:2])
        async def test(engine: StudentEngine) -> None:
            running = [asyncio.create_task(engine.generate(each)) for each in asked]
            await asyncio.wait(running, timeout=0.05)
            await engine.unload(1)
            assert self.said(await asyncio.gather(*running)) == self.said(expected)
            assert list(engine.loaded) == [0, 2]
            with pytest.raises(GenerationError, match="adapter version 1 is not loaded"):
                await engine.generate(request(adapter=1))
            await engine.unload(1)
            with pytest.raises(AdapterError, match="cannot be unloaded"):
                await engine.unload(0)
            await engine.unload(2)
            assert list(engine.loaded) == [0]
            assert self.said([await engine.generate(request(seed=8))]) == self.said(same)

    def test_when_it_is_closed_those_who_wait_hear_of_it(self, build: BuildEngine) -> None:
        @scenario(build)
        async def test(engine: StudentEngine) -> None:
            await engine.generate(request())
            asked = [request(seed=i, temperature=0.0, max_tokens=400) for i in range(80)]
            running = [asyncio.create_task(engine.generate(each)) for each in asked]
            await asyncio.sleep(0.05)
            await engine.close()
            found = await asyncio.gather(*running, return_exceptions=True)
            assert {type(each) for each in found} <= {Generation, GenerationError}
            errors = {str(each) for each in found if isinstance(each, GenerationError)}
            assert errors == {"the engine is closed"}
            with pytest.raises(GenerationError, match="closed"):
                await engine.generate(request())
            await engine.close()
