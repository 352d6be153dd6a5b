"""Log-probabilities in the shapes that servers send them, made into one; what is no log-probability is left out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from ...core.text import storable_text

_ROUNDING = 0.01
"""Servers that compute in few bits give log-probabilities a little above 0."""


def read_logprobs(logprobs: Any, left_out: Counter[str]) -> dict[str, Any] | None:
    """Tokens as chat completions have them, `{"content": [{"token", "logprob", "top_logprobs"}]}`; None without any.

    A token keeps its place where its log-probability, or its text, is no such thing: then that is None, or empty.
    """
    if logprobs is None or logprobs == []:
        return None
    items = list(_items(logprobs))
    if not items:
        spare = isinstance(logprobs, Mapping) and not any(logprobs.values())  # as where there are none to be had
        left_out["logprobs"] += not spare
        return None
    return {"content": [_token(item, left_out) for item in items]}


def _items(logprobs: Any) -> Iterable[Any]:
    if isinstance(logprobs, list):
        return logprobs
    if not isinstance(logprobs, Mapping):
        return ()
    if isinstance(content := logprobs.get("content"), list):
        return content
    tokens = logprobs.get("tokens")
    if not isinstance(tokens, list):
        return ()
    # The shape of completions of old, which some servers keep for chat.
    columns = (logprobs.get(name) for name in ("token_logprobs", "top_logprobs"))
    probabilities, alternatives = (column if isinstance(column, list) else [] for column in columns)
    rows = list(zip_longest(tokens, probabilities, alternatives))[: len(tokens)]
    return [{"token": token, "logprob": logprob, "top_logprobs": top} for token, logprob, top in rows]


def _token(item: Any, left_out: Counter[str]) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        item = {}
    logprob = _logprob(item.get("logprob"))
    left_out["logprob"] += logprob is None and "logprob" in item
    return {
        "token": _text(item, left_out),
        "logprob": logprob,
        "top_logprobs": _alternatives(item.get("top_logprobs"), left_out),
    }


def _alternatives(top: Any, left_out: Counter[str]) -> list[dict[str, Any]]:
    if isinstance(top, Mapping):
        top = [{"token": token, "logprob": logprob} for token, logprob in top.items()]
    if not isinstance(top, list):
        left_out["alternative"] += top is not None
        return []
    found: dict[str, float] = {}
    for other in top:
        if type(other) is dict and type(other.get("token")) is str and type(other.get("logprob")) is float:  # mostly
            text, likely = storable_text(other["token"]), other["logprob"]
            if -math.inf < likely <= 0.0:
                found[text] = max(likely, found.get(text, -math.inf))
                continue
        unreadable = Counter[str]()
        logprob = _logprob(other.get("logprob")) if isinstance(other, Mapping) else None
        text = _text(other, unreadable) if isinstance(other, Mapping) else ""
        if logprob is None or unreadable:  # an empty text is one: of a token that ends the reply
            left_out["alternative"] += 1
        else:
            found[text] = max(logprob, found.get(text, -math.inf))  # two that differ in bytes that are no text
    return [{"token": token, "logprob": logprob} for token, logprob in found.items()]


def _text(item: Mapping[str, Any], left_out: Counter[str]) -> str:
    token = item.get("token")
    if isinstance(token, str):
        return storable_text(token)
    try:
        return storable_text(bytes(list(item["bytes"])).decode(errors="replace"))
    except (KeyError, TypeError, ValueError):
        left_out["token"] += 1
        return ""


def _logprob(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(number, 0.0) if math.isfinite(number) and number <= _ROUNDING else None
