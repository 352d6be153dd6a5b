"""The part of the OpenAI chat completions protocol that the simulated cast speaks: bodies in, bodies out.

Unknown fields are ignored, as real servers do. Not a client's model of the protocol.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from ..core.endpoints.chat import ChatBody

_COMMON = (" the", " a", " and", " it", " of", " to", " in", " is", " that", ".", ",", " one")
_TOKEN = re.compile(r"\s*[^\W_]+|\s*[^\w\s]|\s*_|\s+$")


def said_once(body: Any) -> Any:
    """A request's body without the older name of what it says under the newer name too."""
    if (
        isinstance(body, dict)
        and body.get("max_tokens") is not None
        and body["max_tokens"] == body.get("max_completion_tokens")
    ):
        return {name: value for name, value in body.items() if name != "max_tokens"}
    return body


class ResponseFormat(BaseModel):
    """What form the reply shall have."""

    type: Literal["text", "json_object", "json_schema"]


class ChatRequest(ChatBody):
    """The body of a request to `/v1/chat/completions`."""

    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None

    @property
    def wants_json(self) -> bool:
        """Whether the reply shall be a JSON object."""
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def heat(self) -> float:
        """The temperature; 1 where the request names none, as OpenAI's API has it."""
        return 1.0 if self.temperature is None else self.temperature

    @property
    def user_messages(self) -> list[str]:
        """The texts of the user's messages, in order."""
        return [message.text for message in self.messages if message.role == "user"]


class Odds(NamedTuple):
    """How likely a token was, and what else was likely in its place."""

    p: float
    likeliest: Mapping[str, float]
    """Probabilities of the tokens to show, likeliest first; the token itself is one where it is likely enough."""


def likeliest(token: str, p: float, top: int) -> dict[str, float]:
    """Up to `top` tokens that might have stood in a token's place, itself with probability `p` among them."""
    others = [other for other in _COMMON if other != token]
    # Each next one gets half of what is left, so that the probabilities never add up to more than 1.
    odds = {token: p} | {other: (1 - p) / 2**rank for rank, other in enumerate(others, start=1)}
    kept = [token, *others][:top]
    return {other: odds[other] for other in sorted(kept, key=lambda other: -odds[other])}


def tokens(text: str) -> list[str]:
    """A text in the simulator's tokens: words and marks with the space before them. They add up to the text."""
    return _TOKEN.findall(text)


def choice(
    index: int,
    text: str,
    most_tokens: int | None,
    odds: Sequence[Odds] | None = None,
) -> dict[str, Any]:
    """One choice of a reply, cut to the limit on tokens.

    Args:
        index: Which choice it is.
        text: What the model says.
        most_tokens: The limit; None for none.
        odds: The odds of the first tokens, in order; a token beyond them was certain. None: no log-probabilities.
    """
    said = tokens(text)
    kept = said if most_tokens is None else said[:most_tokens]
    content = text if len(kept) == len(said) else "".join(kept)
    return {
        "index": index,
        "message": {"role": "assistant", "content": content, "refusal": None},
        "finish_reason": "stop" if len(kept) == len(said) else "length",
        "logprobs": None if odds is None else {"content": _logprobs(kept, odds), "refusal": None},
    }


def _logprobs(said: Sequence[str], odds: Sequence[Odds]) -> list[dict[str, Any]]:
    rows = []
    for place, token in enumerate(said):
        p, likeliest = odds[place] if place < len(odds) else Odds(1.0, {})
        top = [_logprob(other, other_p) for other, other_p in likeliest.items()]
        rows.append({**_logprob(token, p), "top_logprobs": top})
    return rows


def _logprob(token: str, p: float) -> dict[str, Any]:
    return {"token": token, "logprob": math.log(p), "bytes": list(token.encode())}


def completion(request: ChatRequest, key: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a reply: its id follows from the request's key, and it bears no time."""
    prompt = sum(len(tokens(message.text)) for message in request.messages)
    said = sum(len(tokens(item["message"]["content"])) for item in choices)
    return {
        "id": f"chatcmpl-{key[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": said,
            "total_tokens": prompt + said,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": "openmic-simulated",
    }


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of a reply that is an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
