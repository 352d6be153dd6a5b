"""The files that travel with an adapter: the student's prompts, its chat template, and a model card."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.records import AdapterRef
from ..student.published import PublishedBase
from ..student.student import LoadedStudent, StudentKind
from ..student.template import NO_THOUGHTS, merges_system
from .adapters import CARD, json_beside
from .card import ModelCard, write_card

PROMPTS = "prompts.json"
"""What the student is asked with."""
TEMPLATE = "chat_template.jinja"
"""How its base model's tokenizer writes a conversation."""


def carried_files(
    student: LoadedStudent,
    base: PublishedBase,
    prompts: Mapping[str, Any],
    *,
    version: int,
    objective: str,
    rank: int | None = None,
) -> dict[str, str]:
    """Text by file name, for `commit_adapter`. The card says what is known before anything was judged.

    Args:
        student: The base model and its tokenizer.
        base: What it is called elsewhere.
        prompts: As `agents.tasks.carried` gives them; empty where there is no task.
        version: The adapter's.
        objective: What it learned with.
        rank: The adapter's.
    """
    asked = {**prompts, **template_facts(student)}
    card = ModelCard(
        title=f"{prompts.get('task', 'adapter')} v{version}",
        base=base,
        kind=student.kind,
        prompts=asked,
        facts={"objective": objective},
        rank=rank,
    )
    files = {PROMPTS: json.dumps(asked, ensure_ascii=False, indent=2, sort_keys=True) + "\n"}
    if (template := chat_template(student)) is not None:
        files[TEMPLATE] = template
    return {**files, CARD: write_card(card, "adapter")}


class Carried(NamedTuple):
    """What is found beside a committed adapter."""

    prompts: dict[str, Any]
    kind: StudentKind
    """Its base model's."""
    rank: int | None


def carried_with(ref: AdapterRef) -> Carried:
    """What travels with a committed adapter.

    Raises:
        AdapterError: the storage cannot be read.
    """
    config = json_beside(str(ref.uri), "adapter_config.json")
    kind: StudentKind = "seq2seq" if config.get("task_type") == "SEQ_2_SEQ_LM" else "causal"
    return Carried(json_beside(str(ref.uri), PROMPTS), kind, config.get("r"))


def template_facts(student: LoadedStudent) -> dict[str, Any]:
    """How a conversation becomes the student's prompt, for `prompts.json`.

    Returns:
        `chat_template`, whether there is one; `chat_template_kwargs`, what it is given besides the conversation; and
        `system_in_user_turn`, whether the system prompt stands at the beginning of the user's turn.
    """
    template = chat_template(student)
    if template is None:
        return {"chat_template": False, "chat_template_kwargs": {}, "system_in_user_turn": True}
    told = {name: value for name, value in NO_THOUGHTS.items() if re.search(rf"\b{name}\b", template)}
    return {
        "chat_template": True,
        "chat_template_kwargs": {**told, **student.template_kwargs},
        "system_in_user_turn": merges_system(student.tokenizer, student.template_kwargs),
    }


def chat_template(student: LoadedStudent) -> str | None:
    """The template that conversations are written with; None where the student has none, or none is used."""
    found = student.tokenizer.chat_template if student.kind == "causal" else None
    if isinstance(found, Mapping):  # some tokenizers have several, for tools and the like
        found = found.get("default")
    return found or None
