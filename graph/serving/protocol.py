"""The part of OpenAI's chat completions that a student can answer: bodies in, bodies out.

What would change the answer, and cannot be given, is refused by its name; what changes nothing is passed over.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from ...core.endpoints.chat import ChatBody, ChatMessage
from ...core.records import Generation, Message, StudentSampling

_LEAST_TOP_P = 1e-6
"""What OpenAI's top_p of 0 means here: the likeliest token alone."""


class RequestError(Exception):
    """A request that cannot be answered, with the HTTP status and the body that say why."""

    def __init__(
        self, message: str, *, status: int = 400, code: str = "invalid_value", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, code=code, param=param)


class StreamOptions(BaseModel):
    """What a stream is to hold besides the text."""

    include_usage: bool = False


class ChatRequest(ChatBody):
    """The body of a request to `/chat/completions`."""

    stop: str | list[str] | None = None
    stream_options: StreamOptions | None = None
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer, which hold them no more."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)

    def sampling(self, default: StudentSampling) -> StudentSampling:
        """How to sample: as asked for, else as the run's evaluations do."""
        most = self.most_tokens
        return StudentSampling(
            temperature=default.temperature if self.temperature is None else self.temperature,
            top_p=default.top_p if self.top_p is None else max(self.top_p, _LEAST_TOP_P),
            max_tokens=default.max_tokens if most is None else most,
        )

    def conversation(self) -> tuple[Message, ...]:
        """Its messages as the student takes them.

        Raises:
            RequestError: one is in a role, or holds a content, that the student cannot be given.
        """
        return tuple(_message(place, message) for place, message in enumerate(self.messages))


_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def _message(place: int, message: ChatMessage) -> Message:
    where = f"messages.{place}"
    if message.role not in _ROLES:
        raise RequestError(
            f"{where}: the student takes messages of {', '.join(_ROLES)}, not of {message.role!r}",
            param=f"{where}.role",
        )
    content = message.content
    for part in content if isinstance(content, list) else ():
        if part.type != "text":
            raise RequestError(f"{where}: the student reads text, not {part.type!r}", param=f"{where}.content")
    if content is None and message.role != "assistant":
        raise RequestError(f"{where}: it has no content", param=f"{where}.content")
    return Message(role=_ROLES[message.role], content=message.text)


def read_request(raw: bytes) -> ChatRequest:
    """The request that a body is.

    Raises:
        RequestError: it is none, or asks for what a student's server does not give.
    """
    try:
        given = json.loads(raw)
        json.dumps(given, ensure_ascii=False).encode()
        request = ChatRequest.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or None
        raise RequestError(f"{place or 'body'}: {first['msg']}", param=place) from None
    except UnicodeEncodeError:
        raise RequestError("there is half of a surrogate pair in the body", code="invalid_json") from None
    except (ValueError, RecursionError):
        raise RequestError("the body is no JSON object", code="invalid_json") from None
    for name, asked in _not_given(request).items():
        if asked:
            raise RequestError(f"this server does not give {name}; leave it out", code="unsupported_value", param=name)
    return request


def _not_given(request: ChatRequest) -> dict[str, bool]:
    form = (request.response_format or {}).get("type", "text")
    return {
        "logprobs": bool(request.logprobs or request.top_logprobs),
        "tools": bool(request.tools),
        "functions": bool(request.functions),
        "response_format": form != "text",
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "logit_bias": bool(request.logit_bias),
    }


def completion(name: str, model: str, created: int, choices: Sequence["Choice"]) -> dict[str, Any]:
    """The body of an answer."""
    said = [
        {
            "index": place,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": None,
            "finish_reason": choice.reason,
        }
        for place, choice in enumerate(choices)
    ]
    head = {"id": name, "object": "chat.completion", "created": created, "model": model}
    return {**head, "choices": said, "usage": usage(choices)}


def chunk(
    name: str, model: str, created: int, place: int, delta: Mapping[str, str], reason: str | None = None
) -> dict[str, Any]:
    """One piece of a stream."""
    head = {"id": name, "object": "chat.completion.chunk", "created": created, "model": model}
    return {**head, "choices": [{"index": place, "delta": dict(delta), "logprobs": None, "finish_reason": reason}]}


def last_chunk(name: str, model: str, created: int, choices: Sequence["Choice"]) -> dict[str, Any]:
    """The piece of a stream that says what it took."""
    head = {"id": name, "object": "chat.completion.chunk", "created": created, "model": model}
    return {**head, "choices": [], "usage": usage(choices)}


class Choice(BaseModel):
    """An answer as it is sent."""

    text: str
    reason: Literal["stop", "length"]
    prompt_tokens: int
    tokens: int

    @classmethod
    def of(cls, generation: Generation, text: str, *, stopped: bool = False) -> "Choice":
        """What the student said, with its text as it is sent.

        `stopped` says that one of the texts that end it was met.
        """
        reason = "stop" if stopped else generation.finish_reason
        return cls(text=text, reason=reason, prompt_tokens=generation.prompt_tokens, tokens=len(generation.token_ids))


def usage(choices: Sequence[Choice]) -> dict[str, int]:
    """Tokens of the prompt, which is counted once, and of all answers."""
    prompt, said = choices[0].prompt_tokens, sum(choice.tokens for choice in choices)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def error_body(
    message: str, *, code: str, param: str | None = None, kind: str = "invalid_request_error"
) -> dict[str, Any]:
    """The body of a refusal."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A text up to the first of the texts that end it, and whether there was one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


class Growing:
    """A text that grows, told in pieces that are never taken back."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = stops
        self._held = max((len(stop) - 1 for stop in stops), default=0)
        self._sent = ""

    def piece(self, text: str, *, whole: bool = False) -> str:
        """What of the text so far can be told now; with `whole`, the text is complete."""
        text, stopped = cut(text, self._stops)
        if not whole and not stopped:
            text = text[: len(text) - self._held].rstrip("\N{REPLACEMENT CHARACTER}")  # half of a letter, so far
        if not text.startswith(self._sent) or len(text) == len(self._sent):
            return ""
        piece, self._sent = text[len(self._sent) :], text
        return piece
