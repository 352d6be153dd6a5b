"""Every architecture that `auto` has faith in, with every engine that it takes, compared with static batches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from openmic.core.student_settings import ContinuousSettings, SlotsSettings
from openmic.training.engines import continuous_needs, paged_attention
from openmic.training.engines.choose import SEEN_RIGHT
from openmic.training.engines.conformance import ask, scenario
from openmic.training.engines.continuous import ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.slots.engine import SlotsEngine
from openmic.training.engines.static import BatchGenerator
from openmic.training.student.student import LoadedStudent

from ..conftest import BuildStudent
from ..factories import TEXTS, request

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "word_embed_proj_dim": 32,
    "initializer_range": 0.3,
    "init_std": 0.3,
    "pad_token_id": None,
    "bos_token_id": None,
    "sliding_window": None,
}
MIXED = [
    request(TEXTS[i % 4] * (1 + i % 3), seed=i, temperature=i % 2, max_tokens=8 + 3 * i, id=f"r{i}") for i in range(10)
]


def student_of(architecture: str, tokenizer: Any, **changes: Any) -> LoadedStudent:
    """A tiny student with random weights."""
    import transformers

    kind = getattr(transformers, architecture)
    known = kind.config_class()
    values = {name: value for name, value in (SHAPE | changes).items() if hasattr(known, name)}
    config = kind.config_class(**values, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    torch.manual_seed(1)
    return LoadedStudent(architecture, "causal", AutoModelForCausalLM.from_config(config).eval(), tokenizer, "cpu")


def continuous(student: LoadedStudent) -> StudentEngine:
    return ContinuousEngine(student, max_batch=8, limits=ContinuousSettings(step_tokens=64), threads=1)


def slots(student: LoadedStudent) -> StudentEngine:
    return SlotsEngine(student, max_batch=8, limits=SlotsSettings(prefill_tokens=128), threads=1)


def says_the_same(build: Callable[[], LoadedStudent], *engines: Callable[[LoadedStudent], StudentEngine]) -> None:
    expected = [each.token_ids for each in BatchGenerator(build(), max_batch=16).generate(MIXED)]
    assert len(set(expected)) > 5

    async def test(engine: StudentEngine) -> None:
        assert [each.token_ids for each in await ask(engine, MIXED)] == expected

    for make in engines:
        scenario(lambda make=make: make(build()))(test)  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", sorted(SEEN_RIGHT))
def test_every_architecture_that_auto_takes_says_what_it_says_in_static_batches(
    architecture: str, student: BuildStudent
) -> None:
    tiny = student_of(architecture, student("llama").tokenizer)
    assert type(tiny.model).__name__ == architecture
    assert paged_attention.suits(tiny.model)
    says_the_same(lambda: tiny, *([] if continuous_needs.breaks(architecture) else [continuous]), slots)
