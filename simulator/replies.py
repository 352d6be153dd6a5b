"""Chat replies of the simulated models: from a request that was let in to its reply's choices."""

import json
from typing import Any

from ..core.text import words
from .critic import critique
from .faults import REFUSAL, befalls, break_json, spoiled
from .prompts import Kind, Prompt, read_prompt
from .protocol import ChatRequest, choice
from .settings import SimulatorSettings
from .skills import SKILLS, TEACHER, rubric_of
from .verdicts import verdict

NEEDS_TAGS = (
    f"I can only judge texts that are given to me in {' or '.join(f'<{skill.tag}>' for skill in SKILLS)}, "
    "together with <first> and <second>, or with <draft>."
)
_NEEDS_WORDS = "I need a sentence to work with."


def understand(request: ChatRequest) -> tuple[Prompt, Kind | None]:
    """Read a request's prompt as the model asked would; None where it can make nothing of it."""
    prompt = read_prompt(request.user_messages)
    if prompt.kind in ("compare", "critique"):
        return prompt, prompt.kind
    return prompt, "demonstrate" if request.model == TEACHER else None


def answer(request: ChatRequest, key: str, settings: SimulatorSettings) -> list[dict[str, Any]]:
    """The choices of the reply.

    Args:
        request: The request, for one of `skills.MODELS`.
        key: The hash of the server's seed and the request; everything that is left to chance follows from it.
        settings: What the cast was told.
    """
    prompt, kind = understand(request)
    count = request.n or 1
    if befalls("refusal", settings, key):
        choices = _plain(request, [REFUSAL] * count, settings)
    elif kind == "compare":
        choices = verdict(request, prompt, key, settings)
    elif kind == "critique":
        texts = [_critique(request, prompt, key, index, settings) for index in range(count)]
        choices = _plain(request, texts, settings)
    elif kind is None:
        choices = _plain(request, [NEEDS_TAGS] * count, settings)
    else:
        choices = _plain(request, _demonstrations(request, prompt, key, settings), settings)
    return spoiled(choices, settings, key)


def _plain(request: ChatRequest, texts: list[str], settings: SimulatorSettings) -> list[dict[str, Any]]:
    wanted = request.logprobs and not settings.no_logprobs
    return [choice(index, text, request.most_tokens, () if wanted else None) for index, text in enumerate(texts)]


def _demonstrations(request: ChatRequest, prompt: Prompt, key: str, settings: SimulatorSettings) -> list[str]:
    """The texts of all choices. No two of them share a text."""
    choices = request.n or 1
    skill, source = prompt.skill or SKILLS[0], prompt.source
    if source is None:
        source = request.user_messages[-1] if request.user_messages else ""
    if not words(source):
        return [_NEEDS_WORDS] * choices
    texts = skill.demonstrate(source, prompt.count * choices, settings.quality, prompt.heard, key)
    if prompt.count == 1:
        return texts
    lists = [texts[start : start + prompt.count] for start in range(0, len(texts), prompt.count)]
    return ["\n".join(f"{place}. {text}" for place, text in enumerate(texts, start=1)) for texts in lists]


def _critique(request: ChatRequest, prompt: Prompt, key: str, index: int, settings: SimulatorSettings) -> str:
    assert prompt.skill is not None
    assert prompt.source is not None
    assert prompt.draft is not None
    rubric, remarks = rubric_of(prompt.skill, request.model), prompt.skill.remarks
    written = critique(rubric, remarks, prompt.source, prompt.draft, prompt.heard, key, index, hint=prompt.hint)
    if not request.wants_json:
        return written.as_text()
    if befalls("broken_json", settings, key, index):
        return break_json(written.as_dict(), key, index)
    return json.dumps(written.as_dict(), ensure_ascii=False)
