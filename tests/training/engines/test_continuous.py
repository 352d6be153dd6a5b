import asyncio
import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.core.errors import AdapterError, ConfigError, GenerationError, UnansweredError
from openmic.core.records import AdapterRef
from openmic.core.student_settings import ContinuousSettings
from openmic.testing import EngineConformance
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.conformance import BuildEngine, ask, scenario
from openmic.training.engines.continuous import ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import TinyStudent, random_adapter
from openmic.training.engines.token_routing import TokenRouter
from openmic.training.student.student import LoadedStudent

from ... import tiny
from ...whole_run import PATIENCE_S
from ..conftest import BuildStudent
from ..factories import TEXTS, request


@pytest.mark.slow
class TestContinuous(EngineConformance):
    samples_as_openmic = True

    @pytest.fixture
    def build(self, tiny: TinyStudent) -> BuildEngine:
        return lambda: engine_of(tiny.fresh())


def engine_of(student: LoadedStudent, **limits: int) -> ContinuousEngine:
    settings = ContinuousSettings.model_validate(limits)
    return ContinuousEngine(student, max_batch=16, limits=settings, threads=1)


def test_what_it_cannot_do_is_refused(student: BuildStudent) -> None:
    with pytest.raises(ConfigError, match="causal students only"):
        engine_of(student("t5"))

    @scenario(lambda: engine_of(student("llama"), cache_tokens=256))
    async def test(engine: StudentEngine) -> None:
        with pytest.raises(GenerationError, match=r"set sampling\.num_beams to 1, or student.engine to static"):
            await engine.generate(request(num_beams=2))
        with pytest.raises(GenerationError, match=r"room for 3\d\d tokens; raise student.continuous.cache_tokens"):
            await engine.generate(request(max_tokens=300))
        assert (await engine.generate(request())).token_ids


def test_an_adapter_of_the_output_layer_is_refused_and_leaves_no_trace(
    student: BuildStudent, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    llama = student("llama")
    untied = tiny.llama(llama.tokenizer, tie_word_embeddings=False)
    config = LoraConfig(r=2, target_modules=["lm_head"], task_type="CAUSAL_LM")
    ref = commit_adapter(get_peft_model(copy.deepcopy(untied), config), tmp_path, 8, {"parent": 0})

    @scenario(lambda: engine_of(replace(llama, model=untied)), adapters[0])
    async def test(engine: StudentEngine) -> None:
        before = await engine.generate(request())
        with pytest.raises(AdapterError, match=r"version 8 changes the output layer.*set student.engine to static"):
            await engine.load(ref)
        assert engine.loaded == (0, 1)
        assert (await engine.generate(request())).token_ids == before.token_ids


@pytest.mark.slow
def test_learned_positions_and_adapters_on_them(student: BuildStudent, tmp_path: Path) -> None:
    asked = [request(text, seed=i, adapter=i % 2, max_tokens=15) for i, text in enumerate(TEXTS * 2)]
    ref = commit_adapter(random_adapter(student("gpt2").model, "causal", seed=1), tmp_path, 1, {"parent": 0})
    reference = BatchGenerator(student("gpt2"), max_batch=8)
    reference.load(ref)
    expected = reference.generate(asked)

    @scenario(lambda: engine_of(student("gpt2")), ref)
    async def test(engine: StudentEngine) -> None:
        assert [each.token_ids for each in await ask(engine, asked)] == [each.token_ids for each in expected]


@pytest.mark.slow
def test_requests_that_outgrow_the_cache_together_say_what_each_would_alone(student: BuildStudent) -> None:
    asked = [request(TEXTS[i % 4], seed=i, max_tokens=100, id=f"r{i}") for i in range(12)]
    expected = BatchGenerator(student("llama"), max_batch=12).generate(asked)
    assert sum(each.prompt_tokens + len(each.token_ids) for each in expected) > 2 * 512

    @scenario(lambda: engine_of(student("llama"), cache_tokens=512, step_tokens=32))
    async def test(engine: StudentEngine) -> None:
        assert [each.token_ids for each in await ask(engine, asked)] == [each.token_ids for each in expected]


def test_an_engine_that_broke_says_so_to_everybody(student: BuildStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    @scenario(lambda: engine_of(student("llama")))
    async def test(engine: StudentEngine) -> None:
        await engine.generate(request())

        def breaks(*_: object) -> None:
            raise RuntimeError("no such kernel")

        monkeypatch.setattr(TokenRouter, "route", breaks)
        found = await asyncio.gather(*(engine.generate(request(seed=i)) for i in range(3)), return_exceptions=True)
        assert {type(each) for each in found} == {UnansweredError}
        assert all("no such kernel" in str(each) for each in found)
        with pytest.raises(UnansweredError, match=r"stopped for good \(no such kernel\)"):
            await engine.generate(request())


@pytest.mark.slow
def test_a_program_ends_though_its_engine_was_never_closed(tiny_causal: Path) -> None:
    program = f"""
import asyncio
from openmic.core.student_settings import StudentSettings
from openmic.training.engines.choose import make_engine
engine = make_engine(StudentSettings(model={str(tiny_causal)!r}, device="cpu", engine="continuous"), threads=1)
print(engine.loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "(0,)\n"), done.stderr
