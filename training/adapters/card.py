"""The model card: what a student was taught, with what success, where that ends, and how to use it elsewhere.

A card names no folder and no address of the machine it was made on. It is Markdown under the head that the Hugging Face
hub reads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from ..student.published import PublishedBase
from ..student.student import StudentKind

CardForm = Literal["adapter", "merged", "gguf"]
GGUF_FILE = "model.gguf"
FOLDER = "FOLDER"
"""What stands in a card's code where the reader's own folder, or a hub's id, goes."""
_VLLM_RANK = 16
"""The largest rank that vLLM takes unless it is told."""
_NOT_JUDGED = "It was not judged when this was written."


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a student, whichever form it is handed on in."""

    title: str
    base: PublishedBase
    kind: StudentKind
    prompts: Mapping[str, Any]
    """As `prompts.json` holds them; without `system` where there is no task."""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Rows of the card's table by their names: task, data, objective, judge and the like."""
    gain: str = ""
    """The sentence that says by how much it is better, with its interval."""
    results: Sequence[Mapping[str, str]] = ()
    """A table of what every version achieved: rows with the same keys."""
    limits: Sequence[str] = ()
    """What must be said wherever its figures are shown, a sentence each."""
    tags: Sequence[str] = ()
    rank: int | None = None
    """The adapter's, where it is known."""


def write_card(card: ModelCard, form: CardForm, *, place: str = FOLDER, checked: str = "") -> str:
    """The card in Markdown.

    Args:
        card: What is known of the student.
        form: What the folder beside it holds.
        place: What its reader opens it by: a hub's id, or `FOLDER` to fill in.
        checked: What was seen when it was compared with the adapter it was made from, a sentence.
    """
    parts = [
        f"# {_line(card.title)}",
        f"{_WHAT[form]} of `{card.base.name}`"
        f"{f' (revision `{card.base.revision}`)' if card.base.revision else ''}, "
        "taught by a larger model's demonstrations and feedback with openmic.",
        *([card.gain] if card.gain else []),
        _table([{"": name, " ": text} for name, text in card.facts.items()]),
        "## How it did",
        _table(card.results) if card.results else _NOT_JUDGED,
        *([f"Checked: {checked}"] if checked else []),
        "## What it is asked with",
        _asked(card),
        "## Use",
        *_use(card, form, place),
        "## Limits",
        "\n".join(
            f"- {_line(limit)}" for limit in (*card.limits, *_LIMITS, *([card.base.note] if card.base.note else []))
        ),
    ]
    return f"---\n{yaml.safe_dump(_head(card, form), sort_keys=False)}---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


_WHAT = {
    "adapter": "A LoRA adapter",
    "merged": "A fine-tuned copy (the adapter is merged into its weights)",
    "gguf": "A fine-tuned copy (the adapter is merged into its weights, in GGUF)",
}
_LIMITS = (
    "It was taught one task; it is no general assistant.",
    "Its texts may be wrong, unfunny or offensive, as those it learned from may.",
    "The licence of the base model applies, and the terms of whoever provides the models that taught it.",
)


def _head(card: ModelCard, form: CardForm) -> dict[str, Any]:
    pipeline = "text-generation" if card.kind == "causal" else "text2text-generation"
    relation = "adapter" if form == "adapter" else "finetune"
    library = {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}[form]
    return {
        "base_model": card.base.name,
        "base_model_relation": relation,
        "library_name": library,
        "pipeline_tag": pipeline,
        "tags": ["openmic", *(["lora"] if form == "adapter" else []), *card.tags],
    }


def _asked(card: ModelCard) -> str:
    system = card.prompts.get("system")
    if system is None:
        return "It was trained on prompts as they were given, without a task's own."
    told = "\n".join(f"> {line}" for line in system.splitlines()) or "> (nothing)"
    fields = card.prompts.get("inputs") or []
    shown = f" An input has the fields {', '.join(f'`{name}`' for name in fields)}." if fields else ""
    return (
        f"System prompt:\n\n{told}\n\nThen the input: `{_line(str(card.prompts.get('draft', '')))}`.{shown} "
        "`prompts.json` beside this card has both, and how it was sampled."
    )


def _use(card: ModelCard, form: CardForm, place: str) -> list[str]:
    if form == "gguf":
        return [_ollama(place), _llama_cpp(place)]
    blocks = [_transformers(card, form, place)]
    if card.kind == "causal":
        blocks.append(_vllm(card, form, place))
        blocks.append(
            "With Ollama: `openmic model export RUN --to gguf FOLDER` makes a GGUF file and a Modelfile of it, then "
            "`ollama create NAME -f FOLDER/Modelfile`."
        )
    return blocks


def _transformers(card: ModelCard, form: CardForm, place: str) -> str:
    auto = "CausalLM" if card.kind == "causal" else "Seq2SeqLM"
    name = f"Auto{'PeftModel' if form == 'adapter' else 'Model'}For{auto}"
    source = card.base.name if form == "adapter" else place
    revision = card.base.revision if form == "adapter" else None
    pinned = f", revision={revision!r}" if revision else ""
    words = [message for message in (card.prompts.get("system") or "", "Your input.") if message]
    if card.prompts.get("chat_template"):
        roles = ["user"] if len(words) == 1 or card.prompts.get("system_in_user_turn") else ["system", "user"]
        contents = ["\n\n".join(words)] if len(roles) == 1 else words
        messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=True)]
        given = "".join(f", {key}={value!r}" for key, value in (card.prompts.get("chat_template_kwargs") or {}).items())
        asked = (
            f"messages = {json.dumps(messages, ensure_ascii=False, indent=4)}\n"
            "prompt = tokenizer.apply_chat_template(\n"
            f'    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"{given}\n)'
        )
    else:
        text = "\n".join(words) + ("\n" if card.kind == "causal" else "")
        asked = f'prompt = tokenizer({json.dumps(text, ensure_ascii=False)}, return_tensors="pt")'
    skipped = '[prompt["input_ids"].shape[1] :]' if card.kind == "causal" else ""
    most = (card.prompts.get("sampling") or {}).get("max_tokens", 128)
    imports = f"from transformers import {name}, AutoTokenizer"
    if form == "adapter":
        imports = f"from peft import {name}\nfrom transformers import AutoTokenizer"
    what = "With PEFT and transformers" if form == "adapter" else "With transformers"
    return (
        f"{what}:\n\n```python\n{imports}\n\n"
        f"model = {name}.from_pretrained({place!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({source!r}{pinned})\n{asked}\n"
        f"said = model.generate(**prompt, max_new_tokens={most})[0]{skipped}\n"
        "print(tokenizer.decode(said, skip_special_tokens=True))\n```"
    )


def _vllm(card: ModelCard, form: CardForm, place: str) -> str:
    if form == "merged":
        return f"With vLLM: `vllm serve {place}`."
    revision = f" --revision {card.base.revision}" if card.base.revision else ""
    rank = f" --max-lora-rank {card.rank}" if (card.rank or 0) > _VLLM_RANK else ""
    return f"With vLLM: `vllm serve {card.base.name}{revision} --enable-lora{rank} --lora-modules student={place}`."


def _ollama(place: str) -> str:
    return f"With Ollama: `ollama create NAME -f {place}/Modelfile`, then `ollama run NAME`."


def _llama_cpp(place: str) -> str:
    return f"With llama.cpp: `llama-server --model {place}/{GGUF_FILE} --jinja`."


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _line(text: str) -> str:
    return " ".join(text.split())
