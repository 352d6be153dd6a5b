"""What replaces the attention of transformers in a continuous batch, and where it does not."""

import pytest

from openmic.core.student_settings import ContinuousSettings
from openmic.training.engines import paged_attention
from openmic.training.engines.conformance import scenario
from openmic.training.engines.continuous import ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.static import BatchGenerator

from ..conftest import BuildStudent
from ..factories import request
from .test_architectures import MIXED, continuous, says_the_same, student_of


@pytest.mark.slow
def test_a_model_that_looks_back_a_little_keeps_the_attention_of_transformers(student: BuildStudent) -> None:
    tiny = student_of("MistralForCausalLM", student("llama").tokenizer, sliding_window=16)
    assert not paged_attention.suits(tiny.model)
    says_the_same(lambda: tiny, continuous)


@pytest.mark.slow
def test_a_closed_engine_leaves_the_model_as_it_was(student: BuildStudent) -> None:
    llama = student("llama")
    before = [each.token_ids for each in BatchGenerator(llama, max_batch=4).generate(MIXED[:4])]

    @scenario(lambda: ContinuousEngine(llama, max_batch=4, limits=ContinuousSettings(), threads=1))
    async def test(engine: StudentEngine) -> None:
        await engine.generate(request())

    assert [each.token_ids for each in BatchGenerator(llama, max_batch=4).generate(MIXED[:4])] == before
