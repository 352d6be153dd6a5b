"""Tiny students that several rooms test with: saved as ordinary transformers folders, made once per session."""

import copy
import string
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
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


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """A byte-level BPE of some 350 tokens over printable ASCII, so that even a random model writes printable text.

    It has a ChatML template and, as the real students do, no padding token of its own.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    printable = byte_level.pre_tokenize_str(string.printable[:95] + "\n")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=sorted(set("".join(word for word, _ in printable))),
        special_tokens=["<unk>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|im_end|>", chat_template=CHATML
    )


@pytest.fixture(scope="session")
def tiny_causal(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a causal student with two layers and random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,  # wide, so that what it says depends on what it is asked
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=None,
    )
    folder = tmp_path_factory.mktemp("students") / "tiny-causal"
    _save(LlamaForCausalLM(config), tiny_tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_seq2seq(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sequence-to-sequence student (T5) with two layers a side and random weights."""
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    eos, eos_id = tokenizer.eos_token, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {eos}", special_tokens=[(eos, eos_id)])
    torch.manual_seed(2)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        eos_token_id=eos_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("students") / "tiny-seq2seq"
    _save(T5ForConditionalGeneration(config), tokenizer, folder)
    return folder


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
