"""What a request asks of an endpoint in OpenAI's words, and doing without what an endpoint refuses.

Endpoints that call themselves OpenAI-compatible differ in what they take: some know no log-probabilities, no JSON
schemas or no seed, some reasoning models no temperature, some servers the limit on tokens by its older name alone. What
one refuses is found out by asking, once, and remembered.
"""

import re
from typing import Any

import openai

from ...core.records import LLMRequest

REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError)
"""How an endpoint says that it does not take an option."""

_LUXURIES = ("top_logprobs", "logprobs", "response_format", "seed", "reasoning_effort")
"""A request is as good a question without these: any complaint about one is reason enough to leave it out."""
_ESSENTIALS = ("temperature", "top_p", "max_completion_tokens", "max_tokens")
"""These are given up only where the endpoint says that it does not know them; a value out of range is an error."""
_UNKNOWN = re.compile(
    r"un(?:supported|known|recogni[sz]ed|expected)|not (?:be )?(?:supported|permitted|allowed|recogni[sz]ed)"
    r"|does not support|extra inputs",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"too large|too long|context length|at most|less than or equal", re.IGNORECASE)


class RequestOptions:
    """The options of requests to one endpoint; learns which of them it takes."""

    def __init__(self, reasoning_effort: str | None = None) -> None:
        self._reasoning_effort = reasoning_effort
        self._refused: set[str] = set()

    @property
    def left_out(self) -> list[str]:
        """What is no longer sent, by name."""
        return sorted(self._refused)

    def of(self, request: LLMRequest) -> dict[str, Any]:
        """The options of a chat completion, as they are sent."""
        wanted: dict[str, Any] = {
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_completion_tokens": request.sampling.max_tokens,
            "seed": request.seed,
        }
        if request.top_logprobs is not None:
            wanted |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if self._reasoning_effort is not None:
            wanted["reasoning_effort"] = self._reasoning_effort
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
        refused = self._refused
        if refused & {"logprobs", "top_logprobs"}:
            refused = refused | {"logprobs", "top_logprobs"}
        if "max_completion_tokens" in refused:
            wanted["max_tokens"] = wanted.pop("max_completion_tokens")
        return {name: value for name, value in wanted.items() if name not in refused}

    def learn(self, error: openai.APIStatusError, sent: dict[str, Any]) -> bool:
        """Remember the option that a refusal is about; False where it is about none that could be left out.

        `sent` is what the refused attempt was sent with: a call beside it may have left the same option out by now.
        """
        name = _named(error, sent)
        if name is not None:
            self._refused.add(name)
        return name is not None


def _named(error: openai.APIStatusError, sent: dict[str, Any]) -> str | None:
    text = str(error)
    droppable = list(_LUXURIES)
    if _UNKNOWN.search(text) and not _TOO_LARGE.search(text):
        droppable += _ESSENTIALS
    candidates = [name for name in droppable if name in sent]
    if error.param in candidates:
        return error.param
    return next((name for name in candidates if re.search(rf"\b{name}\b", text)), None)
