"""What the simulated models say: from a request that was let in to the choices of its reply."""

import json
from typing import Any

from ...core.text import words
from .chance import happens
from .critic import NEEDS_TAGS, critique, first_preferred, rubric_of
from .faults import REFUSAL, break_json
from .prompts import Kind, Prompt, read_prompt
from .protocol import ChatRequest, Odds, choice
from .settings import SimulatorSettings
from .teacher import demonstrate

TEACHER = "sim-teacher"
MODELS = (TEACHER, "sim-critic", "sim-judge")
"""The ids of the simulated models."""

_NEEDS_SENTENCE = "I need a sentence to work with."
_VARIANTS = (("{}", 0.90), (" {}", 0.06), ("{}.", 0.03))
"""How a label's probability is spread over the tokens that mean it; what is left goes to a word that means neither."""
_NEITHER = "The"


def understand(request: ChatRequest) -> tuple[Prompt, Kind | None]:
    """The prompt of a request and what the model it is put to makes of it; None where it can make nothing of it."""
    prompt = read_prompt(request.user_messages)
    if prompt.kind in ("compare", "critique"):
        return prompt, prompt.kind
    return prompt, "demonstrate" if request.model == TEACHER else None


def answer(request: ChatRequest, key: str, settings: SimulatorSettings) -> list[dict[str, Any]]:
    """The choices of the reply.

    Args:
        request: The request, for one of `MODELS`.
        key: The hash of the server's seed and the request; everything that is left to chance follows from it.
        settings: What the cast was told.
    """
    prompt, kind = understand(request)
    count = request.n or 1
    if happens(settings.refuse_rate, key, "refuse"):
        return _plain(request, [REFUSAL] * count, settings)
    if kind == "compare":
        return _verdict(request, prompt, key, settings)
    if kind == "critique":
        return _plain(request, [_critique(request, prompt, key, index, settings) for index in range(count)], settings)
    if kind is None:
        return _plain(request, [NEEDS_TAGS] * count, settings)
    return _plain(request, _demonstrations(request, prompt, key, settings), settings)


def _plain(request: ChatRequest, texts: list[str], settings: SimulatorSettings) -> list[dict[str, Any]]:
    wanted = request.logprobs and not settings.no_logprobs
    return [choice(index, text, request.most_tokens, () if wanted else None) for index, text in enumerate(texts)]


def _demonstrations(request: ChatRequest, prompt: Prompt, key: str, settings: SimulatorSettings) -> list[str]:
    """The texts of all choices. No two of them share a paraphrase."""
    choices = request.n or 1
    sentence = prompt.sentence
    if sentence is None:
        sentence = request.user_messages[-1] if request.user_messages else ""
    if not words(sentence):
        return [_NEEDS_SENTENCE] * choices
    texts = demonstrate(sentence, prompt.count * choices, settings.quality, prompt.heard, key)
    if prompt.count == 1:
        return texts
    lists = [texts[start : start + prompt.count] for start in range(0, len(texts), prompt.count)]
    return ["\n".join(f"{place}. {text}" for place, text in enumerate(texts, start=1)) for texts in lists]


def _critique(request: ChatRequest, prompt: Prompt, key: str, index: int, settings: SimulatorSettings) -> str:
    assert prompt.sentence is not None
    assert prompt.draft is not None
    written = critique(rubric_of(request.model), prompt.sentence, prompt.draft, prompt.heard, key, index)
    if not request.wants_json:
        return written.as_text()
    if happens(settings.broken_json_rate, key, "broken json", index):
        return break_json(written.as_dict(), key, index)
    return json.dumps(written.as_dict(), ensure_ascii=False)


def _verdict(request: ChatRequest, prompt: Prompt, key: str, settings: SimulatorSettings) -> list[dict[str, Any]]:
    """The label of the better text. A model is of one mind: all choices of a reply are the same."""
    assert prompt.sentence is not None
    assert prompt.first is not None
    assert prompt.second is not None
    p = first_preferred(
        rubric_of(request.model), prompt.sentence, prompt.first, prompt.second, prompt.heard, settings, key
    )
    label = "1" if p >= 0.5 else "2"
    wanted = request.logprobs and not settings.no_logprobs
    odds = [_label_odds(p, label, request.top_logprobs or 0)] if wanted else None
    return [choice(index, label, request.most_tokens, odds) for index in range(request.n or 1)]


def _label_odds(p: float, label: str, top: int) -> Odds:
    """The odds of the label, with `top` tokens to show; from two on, both labels are among them."""
    spread = {form.format(name): share * mass for name, mass in (("1", p), ("2", 1 - p)) for form, share in _VARIANTS}
    spread[_NEITHER] = 1 - sum(spread.values())
    other = "2" if label == "1" else "1"
    rest = sorted((token for token in spread if token not in ("1", "2")), key=lambda token: -spread[token])
    shown = [label, other, *rest][:top]
    return Odds(spread[label], {token: spread[token] for token in sorted(shown, key=lambda token: -spread[token])})
