import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from openmic.agents.endpoints.waits import asked_wait, wait_before


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


Headers = Callable[[], dict[str, str]]
"""Made when they are needed: tests may be collected long before they run."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (lambda: {"Retry-After": "0.9"}, 0.9),
        (lambda: {"Retry-After": "0"}, 0),
        (lambda: {"Retry-After": format_datetime(soon(30), usegmt=True)}, 30),
        (lambda: {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        (lambda: {"Retry-After": format_datetime(soon(3630), usegmt=True), "Date": format_datetime(soon(3600))}, 30),
        (lambda: {"retry-after-ms": "20", "Retry-After": "1"}, 0.02),
        (lambda: {"Retry-After": "soon", "x-ratelimit-reset-requests": "1s"}, 1),
        (lambda: {"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 1),
        (lambda: {"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 360),
        (lambda: {"x-ratelimit-reset-requests": "8h12m0s"}, 29520),
        (lambda: {"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        (lambda: {"x-ratelimit-reset-requests": "1m26.4s"}, 86.4),
        (lambda: {"X-RateLimit-Reset": str(int(time.time()) + 44)}, 44),
        (lambda: {"X-RateLimit-Reset": str(int(time.time() * 1000) + 44_000)}, 44),
        (lambda: {"ratelimit-reset": "17"}, 17),
        (lambda: {"Retry-After": "1 minute"}, 60),
        (lambda: {"Retry-After": "00:00:30"}, 30),
        (lambda: {"Retry-After": "30, 30"}, 30),
        (lambda: {"x-ms-retry-after-ms": "1500"}, 1.5),
        (lambda: {"x-retry-after": "12"}, 12),
        (lambda: {"RateLimit": "limit=100, remaining=0, reset=30"}, 30),
        (lambda: {"RateLimit": '"default";r=0;t=30'}, 30),
        (lambda: {"anthropic-ratelimit-requests-reset": soon(90).isoformat()}, 90),
    ],
)
def test_a_wait_is_read_from_headers(headers: Headers, seconds: float) -> None:
    assert asked_wait(headers(), None) == pytest.approx(seconds, abs=10 if seconds > 10 else 0.01)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining": "4999", "x-ratelimit-reset": "3000"}, None),
        ({"x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "6ms"}, None),
        ({"anthropic-ratelimit-tokens-remaining": "7", "anthropic-ratelimit-tokens-reset": "90s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360,
        ),
        ({"ratelimit-remaining": "4", "ratelimit-reset": "9", "x-ratelimit-reset-tokens": "17s"}, 17),
    ],
)
def test_a_limit_that_is_not_used_up_is_not_waited_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers, None) == seconds


@pytest.mark.parametrize("header", ["soon", "-3", "", "nan", "inf", "1e999", "Mon, 99 Foo 2026"])
def test_a_header_that_says_no_time_says_nothing(header: str) -> None:
    assert asked_wait({"Retry-After": header, "x-ratelimit-reset": header, "retry-after-ms": header}, {}) is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached on tokens per min (TPM): Limit 10000, Used 9000. Please try again in 20s.", 20),
        ("Please try again in 6m0s. Visit our site to learn more.", 360),
        ("Please retry after 26 seconds.", 26),
        ("try again in 120ms", 0.12),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please wait 2 minutes and 5 seconds before the next request", 125),
        ("try again in an hour", 3600),
        ("Too many requests; retry your request after 3 hours", 10800),
        ("Limit resets at 2020-01-01 00:00:00 UTC", 0),
        ("please try again later", None),
        ("you asked 3 minutes ago", None),
    ],
)
def test_a_wait_is_read_from_words(words: str, seconds: float | None) -> None:
    for body in (
        {"error": {"message": words}},
        {"error": words},
        {"detail": [{"msg": words}]},
        {"detail": [words]},
        words,
    ):
        assert asked_wait({}, body) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ([{"error": {"code": 429, "details": [{"@type": "RetryInfo", "retryDelay": "24s"}]}}], 24),
        ({"error": "Model is loading", "estimated_time": 20.5}, 20.5),
        ({"error": {"metadata": {"headers": {"retry_after": 3}}}}, 3),
        ({"retry_after_ms": 250}, 0.25),
        ({"retry_after": None}, None),
    ],
)
def test_a_wait_is_read_from_the_errors_fields(body: Any, seconds: float | None) -> None:
    assert asked_wait({}, body) == seconds


def test_backoff_outlasts_a_minutes_limit_and_a_servers_start() -> None:
    assert sum(wait_before(attempt, None) for attempt in range(9)) > 120
    assert sum(wait_before(attempt, 1.0) for attempt in range(9)) > 90  # "one second", said for a minute
    assert max(wait_before(attempt, None) for attempt in range(100)) < 60


def test_what_is_asked_for_is_waited() -> None:
    assert [wait_before(attempt, 0.0) for attempt in range(3)] == [0.0] * 3
    assert wait_before(8, 3600.0) == 3600.0


IN_OTHER_WORDS: list[tuple[str, float]] = [
    ("请在 30 秒后重试", 30),
    ("请求过于频繁，请30秒后再试", 30),
    ("请等待 2 分钟后重试", 120),
    ("30秒後に再試行してください", 30),
    ("30초 후에 다시 시도하세요", 30),
    ("Bitte versuchen Sie es in 30 Sekunden erneut", 30),
    ("Bitte erneut in 2 Minuten", 120),
    ("Veuillez réessayer dans 30 secondes", 30),
    ("Quota will be replenished in 12:34:56.", 45296),
]


@pytest.mark.parametrize(("words", "seconds"), IN_OTHER_WORDS)
def test_a_wait_is_read_from_words_of_other_languages(words: str, seconds: float) -> None:
    assert asked_wait({}, {"error": {"message": words}}) == pytest.approx(seconds)


def test_a_limits_length_is_no_wait() -> None:
    for words in ("You sent 5 requests in 2 minutes", "60 requests in 1 minute are allowed", "每 30 秒 5 次"):
        assert asked_wait({}, {"error": {"message": words}}) is None


def test_a_reset_within_a_gateways_error_is_waited_for() -> None:
    inner = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((time.time() + 3600) * 1000))}
    body = {"error": {"message": "free-models-per-day", "code": 429, "metadata": {"headers": inner}}}
    assert asked_wait({}, body) == pytest.approx(3600, abs=10)
    assert asked_wait({}, {"error": {"message": "slow", "retry_after": "5 seconds"}}) == pytest.approx(5)
