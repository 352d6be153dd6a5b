import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.records import AdapterRef
from openmic.training.adapters import commit_adapter
from openmic.training.local_ray import ray_session
from openmic.training.student import LoadedStudent, StudentKind, load_student

BuildStudent = Callable[[str], LoadedStudent]
"""A fresh copy of a student: `llama`, `gpt2`, `t5` or `bart`."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several threads, above all where other work wants the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def loaded(tiny_causal: Path, tiny_seq2seq: Path) -> dict[str, LoadedStudent]:
    """One student per way of telling positions apart: rotary and learned, relative and learned."""
    from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel

    llama, t5 = load_student(str(tiny_causal), device="cpu"), load_student(str(tiny_seq2seq), device="cpu")
    torch.manual_seed(3)
    gpt2 = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(llama.tokenizer),
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=512,
            initializer_range=0.3,
            bos_token_id=None,
            eos_token_id=llama.tokenizer.eos_token_id,
        )
    )
    pad = t5.tokenizer.pad_token_id
    bart = BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(t5.tokenizer),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=512,
            init_std=0.3,
            pad_token_id=pad,
            bos_token_id=None,
            eos_token_id=t5.tokenizer.eos_token_id,
            decoder_start_token_id=pad,
            forced_eos_token_id=None,
        )
    )
    return {
        "llama": llama,
        "gpt2": LoadedStudent("tiny-gpt2", "causal", gpt2.eval(), llama.tokenizer, "cpu"),
        "t5": t5,
        "bart": LoadedStudent("tiny-bart", "seq2seq", bart.eval(), t5.tokenizer, "cpu"),
    }


@pytest.fixture
def student(loaded: dict[str, LoadedStudent]) -> BuildStudent:
    """Makes a fresh copy of a student, since PEFT changes the model that it is put around."""

    def build(name: str) -> LoadedStudent:
        one = loaded[name]
        return LoadedStudent(one.name, one.kind, copy.deepcopy(one.model), one.tokenizer, one.device)

    return build


def random_adapter(model: Any, kind: StudentKind, seed: int, r: int = 4) -> Any:
    """A PEFT model whose adapter says something else than the base model."""
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    task_type = TaskType.CAUSAL_LM if kind == "causal" else TaskType.SEQ_2_SEQ_LM
    config = LoraConfig(
        r=r,
        lora_alpha=4 * r,
        target_modules="all-linear",
        task_type=task_type,
        fan_in_fan_out=model.config.model_type == "gpt2",
    )
    adapted = get_peft_model(copy.deepcopy(model), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    return adapted.eval()


@pytest.fixture(scope="session")
def adapters(loaded: dict[str, LoadedStudent], tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    """Four committed adapters of the llama student: versions 1 to 4 at places 0 to 3. Not to be altered."""
    root = tmp_path_factory.mktemp("adapters")
    model = loaded["llama"].model
    return [
        commit_adapter(random_adapter(model, "causal", seed=version), root, version, {"parent": 0})
        for version in (1, 2, 3, 4)
    ]


@pytest.fixture(scope="session")
def misfit(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> AdapterRef:
    """A committed adapter, version 9, of a model with other widths than the llama student's."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = random_adapter(LlamaForCausalLM(config), "causal", seed=9)
    return commit_adapter(model, tmp_path_factory.mktemp("misfit"), 9, {"parent": 0})


@pytest.fixture(scope="session")
def ray_running() -> Iterator[None]:
    """A local Ray session, started once."""
    with ray_session():
        yield
