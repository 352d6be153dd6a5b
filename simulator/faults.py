"""What goes wrong on purpose: attempts that fail, requests that are refused, and replies that are spoiled."""

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..core.endpoints.simulated import PASSING
from . import protocol
from .chance import choose, happens, uniform
from .settings import SimulatorSettings

REFUSAL = "I'm sorry, but I can't help with that."
UNANSWERED = frozenset({"timeout", "drip", "hang_up", "half_answer", "broken_body", "empty_body", "error_in_200"})
"""Faults in which nothing is said of what is wrong, or not by the status."""
_MOST_IN_A_ROW = 2
_DRIP_S = 0.2
_LONGEST_S = 3600.0
"""Nobody waits longer."""
_WORDS = {
    "401": ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "402": ("This account has no credit left.", "insufficient_quota", "insufficient_quota"),
    "403": ("This account has no access to the model.", "permission_error", "forbidden"),
    "404": ("The model does not exist.", "invalid_request_error", "model_not_found"),
    "408": ("The request took too long.", "timeout", None),
    "409": ("The request is in conflict with another.", "conflict", None),
    "429": ("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    "500": ("The server had an error while processing your request.", "server_error", None),
    "502": ("Bad gateway.", "server_error", None),
    "503": ("The model is loading.", "unavailable_error", None),
    "504": ("The gateway got no answer in time.", "server_error", None),
}
_FILTERED = ("The prompt was filtered by the content policy.", "invalid_request_error", "content_filter", "prompt")


class Turnstile:
    """Decides which attempts at a request fail, and how.

    An attempt's fate depends on the request and on how often that request failed just before, so that a retry gets
    through in the end: never more than two attempts fail in a row.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._rates = {kind: rate for kind, rate in settings.faults.items() if kind in PASSING}
        self._failed: dict[str, int] = {}

    def admit(self, key: str) -> str | None:
        """None lets this attempt at the request pass; anything else is the fault that befalls it."""
        attempt = self._failed.get(key, 0)
        fault = self._fault(key, attempt) if attempt < _MOST_IN_A_ROW else None
        if fault is None:
            self._failed.pop(key, None)
        else:
            self._failed[key] = attempt + 1
        return fault

    def _fault(self, key: str, attempt: int) -> str | None:
        drawn = uniform(key, "fault", attempt)
        for kind, rate in self._rates.items():
            drawn -= rate
            if drawn < 0:
                return kind
        return None


def befalls(kind: str, settings: SimulatorSettings, key: str, *parts: int) -> bool:
    """Whether a fault that lasts befalls this request."""
    return happens(settings.faults.get(kind, 0.0), key, kind, *parts)


def refusal(fault: str, wait_s: float) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers with which an attempt is turned away.

    Args:
        fault: A status, or a 429 with its way of saying how long to wait.
        wait_s: How long that is.
    """
    status, _, way = fault.partition("_")
    body, headers = protocol.error(*_WORDS[status]), dict[str, str]()
    if way == "retry_after":
        headers["Retry-After"] = f"{wait_s:g}"
    elif way == "date":
        headers["Retry-After"] = formatdate(time.time() + wait_s + 1, usegmt=True)  # it has no fractions of a second
    elif way == "ms":
        headers["retry-after-ms"] = f"{wait_s * 1000:.0f}"
    elif way == "reset":
        headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{wait_s:g}s"}
    elif way == "field":
        body["error"]["details"] = [{"retryDelay": f"{wait_s:g}s"}]
    elif way == "words":
        body["error"]["message"] += f" Please try again in {wait_s:g}s."
    return int(status), body, headers


def filtered() -> dict[str, Any]:
    """The body in which a content filter refuses a prompt."""
    return protocol.error(*_FILTERED)


def error_in_reply() -> dict[str, Any]:
    """The body of an error that comes with status 200."""
    return protocol.error(*_WORDS["500"])


def spoiled(choices: list[dict[str, Any]], settings: SimulatorSettings, key: str) -> list[dict[str, Any]]:
    """The choices of a reply, with what befalls the words."""
    for fault, finish, share in (("filtered_reply", "content_filter", 0.0), ("empty_reply", "stop", 0.0)):
        if befalls(fault, settings, key):
            return [_cut(choice, share, finish) for choice in choices]
    if befalls("cut_off", settings, key):
        return [_cut(choice, 0.5, "length") for choice in choices]
    return choices


def _cut(choice: dict[str, Any], share: float, finish: str) -> dict[str, Any]:
    """A choice with the first part of its words."""
    said = protocol.tokens(choice["message"]["content"])
    kept = said[: int(len(said) * share)]
    logprobs = choice["logprobs"]
    if logprobs is not None:
        logprobs = logprobs | {"content": logprobs["content"][: len(kept)]}
    message = choice["message"] | {"content": "".join(kept)}
    return choice | {"message": message, "finish_reason": finish, "logprobs": logprobs}


def delay_s(settings: SimulatorSettings, key: str) -> float:
    """How long the answer to this request takes, in seconds."""
    return settings.latency_s + settings.latency_jitter_s * uniform(key, "latency")


def break_json(value: dict[str, str], *parts: str | int) -> str:
    """The value as a careless model writes it: cut off, in prose, in a code fence or in single quotes."""
    text = json.dumps(value, ensure_ascii=False)
    manner = choose(("cut", "prose", "fence", "quotes"), "manner", *parts)
    if manner == "cut":
        return text[: len(text) * 2 // 3]
    if manner == "prose":
        return f"Sure! Here is my critique:\n\n{text}\n\nI hope this helps."
    if manner == "fence":
        return f"```json\n{text}\n```"
    return repr(value)


def mishap(fault: str, body: dict[str, Any], request: Request) -> Response:
    """What is sent in place of an answer that is there.

    Args:
        fault: One of `UNANSWERED`.
        body: The answer.
        request: Whose connection it is about.
    """
    whole = json.dumps(body).encode()
    if fault == "empty_body":
        return Response(media_type="application/json")
    if fault == "broken_body":
        return Response(whole[: len(whole) * 2 // 3], media_type="application/json")
    if fault == "error_in_200":
        return Response(whole, media_type="application/json")
    return _Never(fault, whole, request)


class _Never(Response):
    """Sends what there is to send until whoever asked is gone; keeps a connection that breaks from being mended."""

    def __init__(self, fault: str, whole: bytes, request: Request) -> None:
        super().__init__()
        self._fault, self._whole, self._request = fault, whole, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._fault in {"drip", "half_answer"}:
            headers = [(b"content-type", b"application/json")]
            if self._fault == "half_answer":
                headers.append((b"content-length", b"%d" % len(self._whole)))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._fault == "half_answer":
            await send({"type": "http.response.body", "body": self._whole[: len(self._whole) // 2], "more_body": True})
        waited = 0.0
        while waited < _LONGEST_S and not await self._request.is_disconnected():
            if self._fault in {"hang_up", "half_answer"}:
                # The protocol has no word for this; the server's own connection is behind what it gives to read from.
                receive.__self__.transport.close()  # type: ignore[attr-defined] # of uvicorn, which serves this
                await asyncio.sleep(0)
            else:
                if self._fault == "drip":
                    await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(_DRIP_S)
                waited += _DRIP_S
