"""How long an endpoint asks to be left alone: in headers, in fields, or in words."""

import random
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 32.0
OBEYED = 3
"""How often an endpoint's own word on how long to wait is taken alone. One that says "1 s" for a minute is asked less
often after that, so that patience outlasts it."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(ms|milliseconds?|msecs?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}(?![a-z])", re.IGNORECASE)
_COMPOUND = re.compile(rf"\s*(?:\d+(?:\.\d+)?\s*{_UNIT}(?![a-z])[\s,]*(?:and\s+)?)+", re.IGNORECASE)
_COMPACT = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")
_ANNOUNCED = re.compile(
    r"(?:try(?:ing)? again|retry(?:ing)?|wait(?:ing)?|reset(?:s|ting)?|available(?: again)?|come back|replenished)"
    r"(?:\s+(?:again|your request|the request|after|in|for|at least|about|at|until|on|is|will be|back))*\s*:?\s*",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,3}):(\d\d):(\d\d)(?!\d)")
_ELSEWHERE = re.compile(
    r"(?:erneut|nochmals?|wiederholen|réessayer|dans|nuevo|nuevamente|riprova\w*|等待)\s*(?:in|dans|en|tra)?\s*"
    r"(\d+(?:\.\d+)?)\s*(sekunden?|secondes?|segundos?|secondi|秒|minuten?|minutes?|minutos?|minuti|分|stunden?|heures?|horas?)"
    r"|(\d+(?:\.\d+)?)\s*(sekunden?|minuten?|stunden?)\s+(?:erneut|nochmal)"
    r"|(\d+(?:\.\d+)?)\s*(秒|分|小时|時間|초|분|시간)钟?\s*(?:之|以)?(?:后|後|후)",
    re.IGNORECASE,
)
"""A wait in other languages."""
_UNITS_ELSEWHERE = {"s": 1.0, "秒": 1.0, "초": 1.0, "m": 60.0, "分": 60.0, "분": 60.0}
_LIMIT = re.compile(r"\b(?:remaining|r)=0\b.*?\b(?:reset|t)=(\d+)", re.IGNORECASE)
"""The draft standard's header: `limit=100, remaining=0, reset=30`, `"default";r=0;t=30`."""
_ONE = re.compile(r"(?:an?|one|the next)\s+(second|minute|hour|day)", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_RESET = re.compile(r"^(?:x-)?rate-?limit-reset(?:-|$)|^(?:anthropic|x)-ratelimit-.*-reset$")
LONGEST_TEXT = 4000
"""Characters of an error's words that are looked at."""
_EPOCH = 10**9
"""A number of seconds beyond this counts from 1970."""


def wait_before(attempt: int, asked: float | None) -> float:
    """Seconds before the attempt after this one, which counts from 0: what the endpoint asks for, else backoff.

    Backoff doubles from half a second to half a minute: nine further attempts span two minutes at the least, longer
    than a limit per minute.
    """
    spread = random.uniform(1.0, 1.5)  # noqa: S311 - keeps calls from coming all at once, guards no secret
    backoff = min(BACKOFF_SECONDS * 2.0**attempt, LONGEST_BACKOFF_SECONDS) * spread
    if asked is None:
        return backoff
    return asked if attempt < OBEYED else max(asked, backoff)


def asked_wait(headers: Mapping[str, str], body: Any) -> float | None:
    """Seconds to wait, 0 or more; None where nothing is said of it.

    What is meant for this request goes before when its limits are renewed; of these those that are used up count.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    now = _date(given.get("date", "")) or time.time()
    sources = (
        _scaled(given.get("retry-after-ms") or given.get("x-ms-retry-after-ms"), 0.001),
        _seconds(given.get("retry-after"), now),
        *(_seconds(given.get(name), now) for name in ("x-retry-after", "x-ratelimit-retry-after")),
        _in_fields(body),
        _in_words(body, now),
        _renewed(given, now),
    )
    return next((wait for wait in sources if wait is not None), None)


def _scaled(text: str | None, scale: float) -> float | None:
    try:
        seconds = float(text or "") * scale
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _seconds(text: str | None, now: float) -> float | None:
    """Seconds from a number, a date (HTTP, ISO 8601), a moment counted from 1970, or a duration like 6m0s."""
    if not text:
        return None
    number = _scaled(text, 1.0)
    if number is None:
        number = _scaled(text.partition(",")[0], 1.0)  # a header that was sent twice
    if number is not None and number > _EPOCH:
        return max(0.0, (number / 1000 if number > _EPOCH * 1000 else number) - now)
    if number is None:
        number = _duration(text)
    moment = (_date(text) or _iso(text)) if number is None else None
    return number if moment is None else max(0.0, moment - now)


def _duration(text: str) -> float | None:
    """Seconds of `6m0s`, `1 minute` or `00:01:00`."""
    if clock := _CLOCK.fullmatch(text):
        return _of_clock(clock)
    if _COMPOUND.fullmatch(text):
        return _of_compound(text)
    if (found := _COMPACT.match(text.replace(" ", "").lower())) and any(found.groups()):
        parts = zip(found.groups(), (86400.0, 3600.0, 60.0, 1.0, 0.001), strict=True)
        return sum(float(part) * scale for part, scale in parts if part)
    return None


_FIELDS = frozenset(
    {"retrydelay", "retry_after", "retryafter", "retry_after_seconds", "estimated_time", "x-ratelimit-reset"}
    | {"reset_at", "resets_at", "reset_after", "resets_in_seconds"}
)


def _of_compound(text: str) -> float:
    return sum(float(number) * _UNITS[_short(unit)] for number, unit in _DURATION.findall(text))


def _of_clock(clock: re.Match[str]) -> float:
    hours, minutes, seconds = map(int, clock.groups())
    return hours * 3600.0 + minutes * 60 + seconds


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(re.sub(r"\s*(?:UTC|GMT)$", "Z", text.strip()))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _in_fields(body: Any) -> float | None:
    """Google's `retryDelay: 24s`, `retry_after` of several gateways, Hugging Face's `estimated_time`."""
    for name, value in _fields(body):
        if name in _FIELDS:
            if (wait := _seconds(str(value), time.time())) is not None:
                return wait
        elif name in {"retry_after_ms", "retryafterms"} and (wait := _scaled(str(value), 0.001)) is not None:
            return wait
    return None


def _fields(body: Any, depth: int = 5) -> Iterator[tuple[str, Any]]:
    if depth and isinstance(body, Mapping):
        for name, value in body.items():
            if isinstance(value, Mapping | list):
                yield from _fields(value, depth - 1)
            else:
                yield str(name).lower(), value
    elif depth and isinstance(body, list):
        for item in body[:20]:
            yield from [("", item)] if isinstance(item, str) else _fields(item, depth - 1)


def _in_words(body: Any, now: float) -> float | None:
    """Such as "Please try again in 6m0s" and "retry after 26 seconds"."""
    texts = [body] if isinstance(body, str) else [value for _, value in _fields(body) if isinstance(value, str)]
    for text in texts:
        for announced in _ANNOUNCED.finditer(text[:LONGEST_TEXT]):
            rest = text[announced.end() :]
            if found := _COMPOUND.match(rest):
                return _of_compound(found.group())
            if clock := _CLOCK.match(rest):
                return _of_clock(clock)
            if one := _ONE.match(rest):
                return _UNITS[one.group(1)[0].lower()]
            if (moment := _MOMENT.match(rest)) and (then := _iso(moment.group())) is not None:
                return max(0.0, then - now)
        if elsewhere := _ELSEWHERE.search(text[:LONGEST_TEXT]):
            number, unit = (group for group in elsewhere.groups() if group is not None)
            return float(number) * _UNITS_ELSEWHERE.get(unit[0].lower(), 3600.0)
    return None


def _short(unit: str) -> str:
    unit = unit.lower()
    return "ms" if unit in {"ms", "msec", "msecs"} or unit.startswith("milli") else unit[0]


def _renewed(headers: Mapping[str, str], now: float) -> float | None:
    """When all limits that are used up are renewed, else the first that does not say whether it is."""
    used_up, unsaid = list[float](), list[float]()
    if limit := _LIMIT.search(headers.get("ratelimit", "")):
        used_up.append(float(limit[1]))
    for name, value in headers.items():
        if not _RESET.match(name) or not (wait := _seconds(value, now)):
            continue
        left = headers.get(name.replace("reset", "remaining"))
        if left is None:
            unsaid.append(wait)
        elif _scaled(left, 1.0) == 0:
            used_up.append(wait)
    return max(used_up) if used_up else min(unsaid, default=None)
