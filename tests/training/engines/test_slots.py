"""The engine `slots`: the suite of all engines, and what is particular about it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from openmic.core.errors import AdapterError, ConfigError, GenerationError, UnansweredError
from openmic.core.records import AdapterRef, GenerationRequest
from openmic.core.student_settings import SlotsSettings
from openmic.testing import EngineConformance
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.conformance import BuildEngine, ask, scenario
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.slots.decoder import Beginning, SlotDecoder
from openmic.training.engines.slots.engine import SlotsEngine
from openmic.training.engines.slots.graphs import Graphs
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import TinyStudent, random_adapter
from openmic.training.student.student import LoadedStudent

from ... import tiny
from ..conftest import BuildStudent
from ..factories import TEXTS, request


@pytest.mark.slow
class TestSlots(EngineConformance):
    samples_as_openmic = True

    @pytest.fixture
    def build(self, tiny: TinyStudent) -> BuildEngine:
        return lambda: engine_of(tiny.fresh())


def engine_of(student: LoadedStudent, max_batch: int = 16, **limits: int) -> SlotsEngine:
    settings = SlotsSettings.model_validate(limits)
    return SlotsEngine(student, max_batch=max_batch, limits=settings, threads=1)


def says_what_static_says(
    student: LoadedStudent, asked: Sequence[GenerationRequest], adapters: Sequence[AdapterRef] = (), **limits: int
) -> SlotsEngine:
    reference = BatchGenerator(replace(student, model=copy.deepcopy(student.model)), max_batch=16)
    for ref in adapters:
        reference.load(ref, keep=[each.version for each in adapters])
    expected = [each.token_ids for each in reference.generate(asked)]
    engines = [engine_of(student, **limits)]

    @scenario(lambda: engines[0])
    async def test(engine: StudentEngine) -> None:
        for ref in adapters:
            await engine.load(ref, keep=[each.version for each in adapters])
        assert [each.token_ids for each in await ask(engine, asked)] == expected

    return engines[0]


def test_what_it_cannot_do_is_refused(student: BuildStudent) -> None:
    with pytest.raises(ConfigError, match=r"student.engine=slots generates with causal students only"):
        engine_of(student("t5"))
    llama = student("llama")
    looks_back = copy.deepcopy(llama.model)
    looks_back.config.sliding_window = 16
    with pytest.raises(ConfigError, match=r"layers of '.*' look back only so far; set student.engine to static"):
        engine_of(replace(llama, model=looks_back))

    @scenario(lambda: engine_of(llama, max_length=128))
    async def test(engine: StudentEngine) -> None:
        with pytest.raises(GenerationError, match=r"the engine slots does not search"):
            await engine.generate(request(num_beams=2))
        with pytest.raises(GenerationError, match=r"room for 1\d\d tokens; raise student.slots.max_length, .* is 128"):
            await engine.generate(request(max_tokens=100))
        assert (await engine.generate(request())).token_ids


def test_lengths_and_crowds_of_any_size_take_few_shapes(student: BuildStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[Any] = []

    def run(_: Graphs, key: Any, work: Callable[[], None], state: object = ()) -> None:
        shapes.append(key)
        work()

    monkeypatch.setattr(Graphs, "run", run)
    asked = [request(TEXTS[i % 4] * (1 + i % 5), seed=i, max_tokens=3 + 7 * (i % 9), id=f"r{i}") for i in range(40)]
    says_what_static_says(student("llama"), asked, max_batch=32, max_length=512)
    steps = {shape for shape in shapes if shape[0] == "step"}
    assert {count for _, count, _ in steps} <= {8, 16, 32}
    assert min(count for _, count, _ in steps) == 8, "those that are left move together"
    assert {seen for _, _, seen in steps} <= {128, 256, 512}
    assert len(set(shapes)) < 20


def test_equal_prompts_are_read_once(student: BuildStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    passes = SlotDecoder._read

    def counted(self: SlotDecoder, beginnings: Sequence[Beginning]) -> None:
        read.append(len(beginnings))
        passes(self, beginnings)

    monkeypatch.setattr(SlotDecoder, "_read", counted)
    says_what_static_says(student("llama"), [request(seed=i, max_tokens=9, id=f"r{i}") for i in range(12)])
    assert sum(read) == 1


def test_adapters_of_several_ranks_and_more_than_are_kept_stand_side_by_side(
    student: BuildStudent, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    llama = student("llama")
    wider = commit_adapter(random_adapter(llama.model, "causal", seed=9, r=8), tmp_path, 9, {"parent": 0})
    held = [*adapters[:3], wider]
    asked = [
        request(TEXTS[i % 4], seed=i, adapter=version, max_tokens=12, id=f"r{i}")
        for i, version in enumerate([0, *(ref.version for ref in held)] * 3)
    ]
    engine = says_what_static_says(llama, asked, held)
    assert len(engine.loaded) == 1 + len(held)


def test_an_adapter_of_the_output_layer_is_taken_and_more_than_plain_lora_refused(
    student: BuildStudent, tmp_path: Path
) -> None:
    llama = student("llama")
    untied = replace(llama, model=tiny.llama(llama.tokenizer, tie_word_embeddings=False).double())
    made: dict[str, AdapterRef] = {}
    kinds: dict[str, dict[str, Any]] = {
        "output": {"target_modules": ["lm_head"]},
        "dora": {"target_modules": ["q_proj"], "use_dora": True},
        "embedding": {"target_modules": ["embed_tokens"]},
        "whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    }
    for version, (name, options) in enumerate(kinds.items(), start=1):
        adapted: Any = get_peft_model(copy.deepcopy(untied.model), LoraConfig(r=2, task_type="CAUSAL_LM", **options))
        torch.manual_seed(version)
        with torch.no_grad():
            for key, weight in adapted.named_parameters():
                if "lora_B" in key:
                    weight.normal_(std=0.5)
        made[name] = commit_adapter(adapted, tmp_path, version, {"parent": 0})
    asked = [request(text, seed=3, adapter=i % 2, max_tokens=9) for i, text in enumerate(TEXTS)]
    says_what_static_says(replace(untied, model=copy.deepcopy(untied.model)), asked, [made["output"]])

    @scenario(lambda: engine_of(untied))
    async def test(engine: StudentEngine) -> None:
        for name, why in (("dora", "its use_dora"), ("embedding", "lora_embedding_A"), ("whole", "modules_to_save")):
            with pytest.raises(AdapterError, match=rf"slots knows .* not .*{why}.*; set student.engine to static"):
                await engine.load(made[name])
        assert engine.loaded == (0,)


def test_a_request_that_breaks_a_step_fails_by_itself_and_the_engine_goes_on(student: BuildStudent) -> None:
    llama = student("llama")

    @scenario(lambda: engine_of(llama))
    async def test(engine: StudentEngine) -> None:
        before = await engine.generate(request(seed=1))
        handle = llama.model.get_output_embeddings().register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(UnansweredError, match=r"request 'r' failed: ZeroDivisionError"):
            await engine.generate(request(seed=1))
        handle.remove()
        assert (await engine.generate(request(seed=1))).token_ids == before.token_ids
