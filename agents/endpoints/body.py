"""From the bytes of a chat completion to what the protocol says; the unreadable is left out.

A reply was paid for, so its text is kept whatever stands around it: usage in words, a log-probability that is none, a
role of the server's own, a stream that nobody asked for. What is left out is counted by name. Everything that is kept
can be stored: no halves of surrogate pairs, no NULs, no number beyond 64 bits, nothing nested without end.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...core.endpoints.secrets import beginning
from ...core.text import storable_text
from .logprobs import read_logprobs

DEEPEST = 32
"""How deeply what is kept of a reply may be nested."""
MOST_TOKENS = 10**9
"""No single reply takes more tokens than this, whatever its usage says."""
_LARGEST = 2**63 - 1
_COUNTS = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "total_tokens": ("total_tokens",),
}
_DETAILS = {
    "prompt_tokens_details": ("cached_tokens",),
    "completion_tokens_details": ("reasoning_tokens",),
}
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens")
"""How others say it who have no details."""
_NOT_READ = frozenset({"tool_calls", "function_call", "audio", "name", "id"})
"""What else may stand in a message; no prompt asks for it."""
_FAULT = re.compile(r"error|abort|cancel|time_?out|insufficient|overload|interrupt|disconnect", re.IGNORECASE)
"""Ends of a reply that are its server's fault."""
SAYS_WRONG = (
    *("error", "message", "msg", "detail", "error_description", "title", "errors", "error_msg", "error_message"),
    *("base_resp", "status_msg", "Response", "Error", "Message"),
)
"""Where an error has its words, at whatever depth."""
_COMMENTS = re.compile(r"\A(?:\s*:[^\n]*(?:\n|\Z))+\s*")
"""By which a gateway holds the line."""
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


class ErrorInReplyError(ValueError):
    """A body that is an error, or no reply at all, though its status says all is well."""

    def __init__(self, message: str, body: Any = None) -> None:
        super().__init__(message)
        self.body = body


def read_body(content: bytes) -> tuple[dict[str, Any], Counter[str]]:
    """A chat completion with one choice, and how often what was left out of it.

    The choice's message has the role `assistant` and all else that the endpoint sent in it.

    Raises:
        ErrorInReplyError: there is no reply in it.
    """
    body, left_out = parse_body(content), Counter[str]()
    _raise_errors(body)
    choice = first_choice(body)
    message = _message(choice, left_out)
    end = choice.get("finish_reason")
    lost = isinstance(end, str) and _FAULT.search(end) is not None and not message["content"]
    if choice.get("error") or end == "error" or lost:
        raise ErrorInReplyError("the reply broke off with an error", {"error": choice.get("error") or end})
    read: dict[str, Any] = {
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": read_word(choice.get("finish_reason"), "finish_reason", left_out),
                "logprobs": read_logprobs(choice.get("logprobs"), left_out),
            }
        ],
        "usage": read_usage(body.get("usage"), left_out),
    }
    for name in ("id", "model", "system_fingerprint"):
        if word := read_word(body.get(name), name, left_out):
            read[name] = word
    return read, left_out


def parse_body(content: bytes) -> dict[str, Any]:
    """The JSON object of a reply, however deep, with NaN and numbers of any length; a stream's pieces put together.

    Raises:
        ErrorInReplyError: it is none.
    """
    text = content.decode("utf-8-sig", errors="replace").strip()
    text = _COMMENTS.sub("", text, count=1)
    if text.startswith(("data:", "event:", "id:")):
        return _joined(text)
    body = _unwrapped(read_json(text.removeprefix(")]}',")))
    if not isinstance(body, dict):
        raise ErrorInReplyError(
            f"the body is no reply: {beginning(text, 120)!r}" if text else "the body is empty", body
        )
    return body


def _unwrapped(body: Any) -> Any:
    """The reply in what a gateway has laid around it."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if isinstance(body, dict) and not body.get("choices"):
        inner = (body.get(name) for name in ("result", "data", "response", "body"))
        return next((each for each in inner if isinstance(each, dict) and each.get("choices")), body)
    return body


def read_usage(usage: Any, left_out: Counter[str]) -> dict[str, Any] | None:
    """Counts of tokens as whole numbers, without those that are none."""
    if usage is None:
        return None
    if not isinstance(usage, Mapping):
        left_out["usage"] += 1
        return None
    read: dict[str, Any] = {}
    for name, spellings in _COUNTS.items():
        given = next((usage[spelling] for spelling in spellings if usage.get(spelling) is not None), None)
        if (count := _count(given, left_out)) is not None:
            read[name] = count
    for name, parts in _DETAILS.items():
        details = usage.get(name)
        if isinstance(details, Mapping):
            counts = {part: _count(details.get(part), left_out) for part in parts}
            read[name] = {part: count for part, count in counts.items() if count is not None}
    hits = next((usage[spelling] for spelling in _CACHED if usage.get(spelling) is not None), None)
    if "prompt_tokens_details" not in read and (count := _count(hits, left_out)) is not None:
        read["prompt_tokens_details"] = {"cached_tokens": count}
    read.setdefault("total_tokens", read.get("prompt_tokens", 0) + read.get("completion_tokens", 0))
    return read


def storable(value: Any, depth: int = DEEPEST) -> Any:
    """A JSON value that every store takes: see this module's docstring. What is nested too deeply becomes None."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping | list | tuple) and not depth:
        return None
    if isinstance(value, Mapping):
        return {storable_text(str(key)): storable(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, depth - 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if not isinstance(value, int) or abs(value) <= _LARGEST else None


def read_json(text: str) -> Any:
    """The value in JSON, however deep and with numbers of any length; None where it is none."""
    try:
        try:
            return _read(text)
        except RecursionError:
            return _read(_shallow(text))
    except ValueError:
        return None


def _whole(digits: str) -> int | float:
    """Python refuses whole numbers of thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)


_READER = json.JSONDecoder(parse_int=_whole, strict=False)


def _read(text: str) -> Any:
    # Where something stands behind the reply, the reply is what counts.
    return _READER.raw_decode(text.lstrip())[0]


def _shallow(text: str) -> str:
    """JSON with null in place of what is nested too deeply, found without recursion."""
    kept, depth, begun = [], 0, 0
    for found in _STRUCTURE.finditer(text):
        if found.group() in "[{":
            depth += 1
            if depth == DEEPEST:
                kept.append(text[begun : found.start()] + "null")
        elif found.group() in "]}":
            if depth == DEEPEST:
                begun = found.end()
            depth -= 1
    kept.append(text[begun:])
    return "".join(kept)


def _joined(stream: str) -> dict[str, Any]:
    """The reply that the pieces of a stream make.

    A message's words are strung together; of all else the last that was said holds. A piece that is no JSON is passed
    over, and there are no `choices` where no piece said anything.
    """
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {"message": message}
    tokens: list[Any] = []
    for line in stream.splitlines():
        piece = read_json(line.removeprefix("data:").strip()) if line.startswith("data:") else None
        if not isinstance(piece, dict):
            continue
        _raise_errors(piece)
        whole |= {name: value for name, value in piece.items() if name != "choices" and value is not None}
        given = next(iter(piece.get("choices") or ()), None)
        if not isinstance(given, dict):
            continue
        for name, said in (given.get("delta") or given.get("message") or {}).items():
            both_words = isinstance(said, str) and isinstance(message.get(name), str) and name != "role"
            message[name] = message[name] + said if both_words else message.get(name) if said is None else said
        if isinstance(logprobs := given.get("logprobs"), dict):
            tokens += logprobs.get("content") or []
        choice |= {name: given[name] for name in ("finish_reason", "error", "text") if given.get(name) is not None}
    if message or "text" in choice:
        whole["choices"] = [choice | ({"logprobs": {"content": tokens}} if tokens else {})]
    return whole


def _raise_errors(body: Mapping[str, Any]) -> None:
    """Raise where a body is an error and nothing else. What is raised has it as `error`, whatever the server does."""
    error = next((body[name] for name in SAYS_WRONG if body.get(name)), None)
    if error and not body.get("choices"):
        words = (
            next((error[name] for name in SAYS_WRONG if error.get(name)), None) if isinstance(error, Mapping) else error
        )
        told = error if isinstance(error, Mapping | list) else body
        raise ErrorInReplyError(str(words or error), body if body.get("error") else {"error": told})


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first of the choices. Raises ErrorInReplyError where there is none."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else choices
    if not isinstance(choice, Mapping):
        raise ErrorInReplyError(f"the body has no reply in it: {beginning(str(body), 120)}", body)
    return choice


def _message(choice: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The message, from where servers put it."""
    found = next((choice[name] for name in ("message", "delta", "text") if choice.get(name) is not None), None)
    if isinstance(found, str):  # completions of old have a text, and some servers a message without ado
        found = {"content": found}
    if not isinstance(found, Mapping):
        raise ErrorInReplyError("the reply has no message in it", dict(choice))
    if found.get("role") != "assistant":
        left_out["role"] += "role" in found
    message: dict[str, Any] = {name: value for name, value in storable(found).items() if name not in _NOT_READ}
    content = found.get("content")
    if content is None and isinstance(choice.get("text"), str):
        content = choice["text"]
    return message | {"role": "assistant", "content": _content(storable(content), left_out)}


def _content(content: Any, left_out: Counter[str]) -> str | list[Any] | None:
    """Text, or parts of which each is a text or names its kind."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list | dict):
        return json.dumps(content)
    parts = content if isinstance(content, list) else [content]
    read = [part for part in parts if isinstance(part, str) or (isinstance(part, dict) and _part_is_whole(part))]
    left_out["content"] += len(parts) - len(read)
    return read


def _part_is_whole(part: dict[str, Any]) -> bool:
    words = [part.get(name) for name in ("text", "content", "parts", "reasoningContent")]
    return part.get("type", "text") != "text" or any(isinstance(said, str | list | dict) for said in words)


def read_word(value: Any, name: str, left_out: Counter[str]) -> str | None:
    """A word; None for anything else."""
    if value is None or isinstance(value, str):
        return storable(value) if value else None
    left_out[name] += 1
    return None


def _count(value: Any, left_out: Counter[str]) -> int | None:
    if value is None:
        return None
    try:
        count = int(float(value)) if not isinstance(value, bool) else -1
    except (TypeError, ValueError, OverflowError):
        count = -1
    if 0 <= count <= MOST_TOKENS:
        return count
    left_out["usage"] += 1
    return None
