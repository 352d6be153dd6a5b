"""Scoring a prompt: how likely its own tokens are, on the legacy completions endpoint with `echo`.

A prompt names a source in its skill's tag and a text in `<text>`. The better the rubric finds the text, the likelier
its tokens: their mean log-probability grows linearly with the score. All other tokens are always equally likely.
The biases of comparisons (`prefer_first`, `prefer_long`, `flip_rate`) do not touch it: there is nothing to compare.
"""

import math
from itertools import accumulate
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .chance import uniform
from .prompts import read_heard, read_source, read_tag, tag_span
from .protocol import likeliest, tokens
from .settings import SimulatorSettings
from .skills import rubric_of

WORST, BEST = -4.0, -1.0
"""Mean log-probability of the tokens of a text that scores 0, and of one that scores 1."""
_VARIATION = 1.0
"""The most by which two tokens of a text differ, in nats."""
_ELSEWHERE = -2.0
"""The log-probability of every other token."""
_NEXT = "\n"
"""What the model says after any prompt."""


class CompletionRequest(BaseModel):
    """The body of a request to `/v1/completions`; what would make text is refused."""

    model_config = ConfigDict(extra="ignore")

    model: str
    prompt: str
    echo: Literal[True]
    max_tokens: int = Field(ge=0, le=1)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    seed: int | None = None
    n: Literal[1] | None = None
    stream: bool | None = None


def score(request: CompletionRequest, key: str, settings: SimulatorSettings) -> dict[str, Any]:
    """The body of the reply: the prompt, with the log-probabilities of its tokens, and a token more where allowed."""
    said = tokens(request.prompt)
    generated = [_NEXT] * request.max_tokens
    logprobs = None
    if request.logprobs is not None and not settings.no_logprobs:
        values = [*_prompt_logprobs(request, said, key), *(_ELSEWHERE for _ in generated)]
        logprobs = _legacy_logprobs([*said, *generated], values, request.logprobs)
    choice = {
        "index": 0,
        "text": request.prompt + "".join(generated),
        "logprobs": logprobs,
        "finish_reason": "length",
    }
    return {
        "id": f"cmpl-{key[:24]}",
        "object": "text_completion",
        "created": 0,
        "model": request.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": len(said),
            "completion_tokens": len(generated),
            "total_tokens": len(said) + len(generated),
        },
        "system_fingerprint": "openmic-simulated",
    }


def _prompt_logprobs(request: CompletionRequest, said: list[str], key: str) -> list[float]:
    values = [_ELSEWHERE] * len(said)
    skill, source = read_source(request.prompt)
    text, span = read_tag(request.prompt, "text"), tag_span(request.prompt, "text")
    if skill is None or source is None or text is None or span is None:
        return values
    ends = list(accumulate(map(len, said)))
    # `<` and `>` are tokens of their own, so no token lies on both sides of a tag's edge but for space before it.
    inside = [place for place, end in enumerate(ends) if end - len(said[place]) >= span[0] and end <= span[1]]
    if not inside:
        return values
    found = rubric_of(skill, request.model).assess(source, text, read_heard(request.prompt))
    mean = WORST + (BEST - WORST) * found.score
    draws = [_VARIATION * uniform(key, "token", place) for place in inside]
    middle = sum(draws) / len(draws)
    for place, draw in zip(inside, draws, strict=True):
        values[place] = min(0.0, mean + draw - middle)
    return values


def _legacy_logprobs(said: list[str], values: list[float], top: int) -> dict[str, Any]:
    """The `logprobs` of a legacy choice: nothing comes before the first token, so it has none."""
    rows = [
        {other: math.log(p) for other, p in likeliest(token, math.exp(value), max(1, top)).items()}
        for token, value in zip(said, values, strict=True)
    ]
    offsets = [0, *accumulate(map(len, said))][: len(said)]
    return {
        "tokens": said,
        "token_logprobs": [None, *values[1:]] if said else [],
        "top_logprobs": [None, *rows[1:]] if said else [],
        "text_offset": offsets,
    }
