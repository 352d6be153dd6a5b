"""Students small enough to be made in a test: two layers, random weights, and a tokenizer of some 350 tokens.

One per way of telling positions apart: `llama` (rotary) and `gpt2` (learned) are causal, `t5` (relative) and `bart`
(learned) sequence-to-sequence. Weights are spread wide, so that what a student says depends on what it is asked.
"""

import copy
from typing import Any

from openmic.training.engines.tiny_student import CHATML, SENTENCES, causal_tokenizer, llama, save, seeded, vocabulary

__all__ = [
    "CHATML",
    "SENTENCES",
    "bart",
    "causal_tokenizer",
    "classifier",
    "gpt2",
    "llama",
    "reward_model",
    "save",
    "seq2seq_tokenizer",
    "t5",
]

_TWO_LAYERS: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def seq2seq_tokenizer(causal: Any) -> Any:
    """The same tokens without a chat template, with a padding token, and with an end to every text."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(causal)
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    eos, eos_id = tokenizer.eos_token, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {eos}", special_tokens=[(eos, eos_id)])
    return tokenizer


def gpt2(tokenizer: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
    config = GPT2Config(**vocabulary(tokenizer), **shape, initializer_range=0.3, bos_token_id=None)
    return seeded(3, GPT2LMHeadModel, config)


def t5(tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    pad = tokenizer.pad_token_id
    shape: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    shape |= {"dropout_rate": 0.0, "pad_token_id": pad, "decoder_start_token_id": pad}
    config = T5Config(**vocabulary(tokenizer), **shape)
    return seeded(2, T5ForConditionalGeneration, config)


def bart(tokenizer: Any) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    pad = tokenizer.pad_token_id
    sides: dict[str, Any] = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 64}.items()
    }
    config = BartConfig(
        **vocabulary(tokenizer),
        **sides,
        d_model=32,
        max_position_embeddings=512,
        init_std=0.3,
        pad_token_id=pad,
        bos_token_id=None,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
    )
    return seeded(4, BartForConditionalGeneration, config)


def reward_model(tokenizer: Any) -> Any:
    """A causal model with one number for an output."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    more: dict[str, Any] = {"num_labels": 1, "bos_token_id": None, "pad_token_id": None}
    config = LlamaConfig(
        **vocabulary(tokenizer), **_TWO_LAYERS, **more, max_position_embeddings=512, initializer_range=0.3
    )
    return seeded(5, LlamaForSequenceClassification, config)


def classifier(tokenizer: Any, *labels: str, **changes: Any) -> Any:
    """An encoder with a logit for each label."""
    from transformers import BertConfig, BertForSequenceClassification

    names: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
    }
    pad = tokenizer.pad_token_id
    config = BertConfig(
        **vocabulary(tokenizer), **_TWO_LAYERS, **names, **changes, pad_token_id=pad, initializer_range=0.3
    )
    return seeded(6, BertForSequenceClassification, config)
