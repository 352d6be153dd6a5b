"""A campaign whose critic is a reward model of transformers, here one that tells plain words from officialese.

Run it with `python recipes/reward_model_critic.py [MODEL]`: a hub id or folder of your own, else it trains a tiny one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import openmic


def texts(name: str) -> list[str]:
    """The inputs of an example."""
    return [json.loads(line)["input"] for line in Path(f"examples/inputs/{name}.jsonl").read_text().splitlines()]


def small_reward_model(folder: str) -> str:
    """A classifier with one output, the higher the plainer, learned from everyday sentences and official notices."""
    plain, official = texts("humor")[:240], texts("plain-language")[:240]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(plain + official, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    make: Any = PreTrainedTokenizerFast  # it has no types
    fast = make(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")

    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 1, "num_labels": 1}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(fast), pad_token_id=0, **shape))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    labels = torch.tensor([1.0] * 16 + [0.0] * 16)
    for start in 4 * list(range(0, 240, 16)):
        batch = fast(plain[start : start + 16] + official[start : start + 16], padding=True, return_tensors="pt")
        logits = model(batch["input_ids"], batch["attention_mask"]).logits.squeeze(1)
        loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


path = sys.argv[1] if len(sys.argv) > 1 else small_reward_model("openmic-data/small-reward-model")
critic = {"use": "reward_model", "kwargs": {"model": path, "template": "{output}"}, "scale": 1.0}
print(openmic.compare("Apply.", "You can apply here.", "Applications are to be submitted.", critic=critic))
run = openmic.run(
    "examples/plain-language.yaml",
    {"inputs.limit": 160, "dialogue.inputs": 24, "evaluation.test_inputs": 24},
    critic=critic,
)
run.show()
