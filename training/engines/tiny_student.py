"""A student small enough to be made in a test, with adapters that change what it says.

Two layers, random weights spread wide, so that what it says depends on what it is asked, and a tokenizer of some 350
tokens, two of which end a text.
"""

import copy
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ...core.records import AdapterRef
from ...core.student_settings import StudentSettings
from ..adapters.adapters import commit_adapter
from ..student.student import LoadedStudent, StudentKind, load_student

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SECOND_END = "?"
"""A token that ends its texts too, as `generation_config` says, and is not marked as special."""
SENTENCES = (
    "The dentist told me that I should floss every day, so I nodded and changed the subject.",
    "My brother forgot our mother's birthday again and sent her a card with my name in it.",
    "We waited two hours for the bus in the rain, and then three of them came at the same time.",
    "The printer in the office stopped working ten minutes before the meeting.",
    "I bought a new umbrella this morning and left it on the train in the evening.",
    "She is going to ask her boss for more money, but the boss is on holiday until March.",
    "Rewrite the sentence so that it is funny and keeps what it says.",
    "The soup was cold, the bread was old, and the waiter wished us a wonderful night.",
)


@dataclass(frozen=True)
class TinyStudent:
    """A causal student in float64, as a folder and in memory, and adapters of it."""

    folder: Path
    """An ordinary transformers model, saved in float64."""
    student: LoadedStudent
    adapters: tuple[AdapterRef, ...]
    """Versions 1 to 4, each of which says something else."""
    misfit: AdapterRef
    """Version 9: sound, but of a model with other widths."""
    altered: AdapterRef
    """Version 5: its weights are no longer those that were committed."""

    @property
    def settings(self) -> StudentSettings:
        """What an engine is made with."""
        return StudentSettings(model=str(self.folder), device="cpu", max_batch=16)

    def fresh(self) -> LoadedStudent:
        """A copy of the student, since PEFT changes the model that it is put around."""
        return replace(self.student, model=copy.deepcopy(self.student.model))


@cache
def tiny_student(folder: Path, **changes: Any) -> TinyStudent:
    """The student, made once in an empty folder; `changes` are values of its `LlamaConfig`."""
    tokenizer = causal_tokenizer()
    model = llama(tokenizer, **changes)
    adapters = [
        commit_adapter(random_adapter(model, "causal", seed=version), folder / "adapters", version, {"parent": 0})
        for version in (1, 2, 3, 4, 5)
    ]
    Path(str(adapters[-1].uri), "adapter_model.safetensors").write_bytes(b"")
    wider = random_adapter(llama(tokenizer, **changes | {"hidden_size": 48}), "causal", seed=9)
    misfit = commit_adapter(wider, folder / "misfit", 9, {"parent": 0})
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(SECOND_END)]
    save(model.double(), tokenizer, folder / "student")
    loaded = load_student(str(folder / "student"), device="cpu")
    student = replace(loaded, model=loaded.model.double())  # what was drawn in float32 is the same number in float64
    return TinyStudent(folder / "student", student, tuple(adapters[:4]), misfit, adapters[-1])


def causal_tokenizer() -> Any:
    """A byte-level BPE over printable ASCII, so that even a random model writes printable text.

    It has a ChatML template and, as the real students do, no padding token of its own.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    printable = byte_level.pre_tokenize_str(string.printable[:95] + "\n")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=sorted(set("".join(word for word, _ in printable))),
        special_tokens=["<unk>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        tokenizer_object=tokenizer,
        unk_token="<unk>",  # noqa: S106 - no password
        eos_token="<|im_end|>",  # noqa: S106 - no password
        chat_template=CHATML,
    )


def llama(tokenizer: Any, **changes: Any) -> Any:
    """A causal model with rotary positions; `changes` are values of its `LlamaConfig`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    values: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "pad_token_id": None,
    }
    return seeded(1, LlamaForCausalLM, LlamaConfig(**vocabulary(tokenizer) | values | changes))


def random_adapter(model: Any, kind: StudentKind, seed: int, r: int = 4) -> Any:
    """A PEFT model whose adapter says something else than the base model."""
    import torch
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
                parameter.copy_(torch.randn(parameter.shape) * 0.3)  # the same numbers for a student in float64
    return adapted.eval()


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Make the folder an ordinary transformers model."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def vocabulary(tokenizer: Any) -> dict[str, Any]:
    """The values of a model's configuration that its tokenizer decides."""
    return {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}


def seeded(seed: int, kind: Callable[[Any], Any], config: Any) -> Any:
    """A model of a kind with random weights, the same each time."""
    import torch

    torch.manual_seed(seed)
    return kind(config).eval()
