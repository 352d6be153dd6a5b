"""Students small enough to be made in a test: two layers, random weights, and a tokenizer of some 350 tokens.

One per way of telling positions apart: `llama` (rotary) and `gpt2` (learned) are causal, `t5` (relative) and `bart`
(learned) sequence-to-sequence. Weights are spread wide, so that what a student says depends on what it is asked.
"""

import copy
import string
from pathlib import Path
from typing import Any

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

_TWO_LAYERS: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def causal_tokenizer() -> Any:
    """A byte-level BPE over printable ASCII, so that even a random model writes printable text.

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


def seq2seq_tokenizer(causal: Any) -> Any:
    """The same tokens without a chat template, with a padding token, and with an end to every text."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(causal)
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    eos, eos_id = tokenizer.eos_token, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {eos}", special_tokens=[(eos, eos_id)])
    return tokenizer


def llama(tokenizer: Any, **changes: Any) -> Any:
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
    return _seeded(1, LlamaForCausalLM, LlamaConfig(**_vocabulary(tokenizer) | values | changes))


def gpt2(tokenizer: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
    config = GPT2Config(**_vocabulary(tokenizer), **shape, initializer_range=0.3, bos_token_id=None)
    return _seeded(3, GPT2LMHeadModel, config)


def t5(tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    pad = tokenizer.pad_token_id
    shape: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    shape |= {"dropout_rate": 0.0, "pad_token_id": pad, "decoder_start_token_id": pad}
    config = T5Config(**_vocabulary(tokenizer), **shape)
    return _seeded(2, T5ForConditionalGeneration, config)


def bart(tokenizer: Any) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    pad = tokenizer.pad_token_id
    sides: dict[str, Any] = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 64}.items()
    }
    config = BartConfig(
        **_vocabulary(tokenizer),
        **sides,
        d_model=32,
        max_position_embeddings=512,
        init_std=0.3,
        pad_token_id=pad,
        bos_token_id=None,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
    )
    return _seeded(4, BartForConditionalGeneration, config)


def reward_model(tokenizer: Any) -> Any:
    """A causal model with one number for an output."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    more: dict[str, Any] = {"num_labels": 1, "bos_token_id": None, "pad_token_id": None}
    config = LlamaConfig(
        **_vocabulary(tokenizer), **_TWO_LAYERS, **more, max_position_embeddings=512, initializer_range=0.3
    )
    return _seeded(5, LlamaForSequenceClassification, config)


def classifier(tokenizer: Any, *labels: str, **changes: Any) -> Any:
    """An encoder with a logit for each label."""
    from transformers import BertConfig, BertForSequenceClassification

    names: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
    }
    pad = tokenizer.pad_token_id
    config = BertConfig(
        **_vocabulary(tokenizer), **_TWO_LAYERS, **names, **changes, pad_token_id=pad, initializer_range=0.3
    )
    return _seeded(6, BertForSequenceClassification, config)


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Make the folder an ordinary transformers model."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _vocabulary(tokenizer: Any) -> dict[str, Any]:
    return {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}


def _seeded(seed: int, kind: Any, config: Any) -> Any:
    import torch

    torch.manual_seed(seed)
    return kind(config).eval()
