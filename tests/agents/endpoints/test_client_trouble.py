import asyncio
import time

import pytest

from openmic.agents.endpoints import chat, waits
from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.errors import EndpointError, EndpointLostError
from openmic.core.records import LLMReply, LLMRequest, Sampling

from ..factories import SCHEMA, ask, ask_all, first, request, settings
from ..scripted_endpoint import Answer, ScriptedEndpoint, completion, failure


def test_retry_after_is_honoured(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(1, failure(429, "slow down", Retry_After="0.9"))
    reply = ask(request(), settings(endpoint.base_url))
    asked = [asked.at for asked in endpoint.asked]
    assert reply.retries == 1
    assert len(asked) == 2
    assert 0.9 <= asked[1] - asked[0] < 5
    assert reply.latency_ms >= 900


def test_retry_after_of_nothing_does_not_wait(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "BACKOFF_SECONDS", 100.0)
    endpoint.chat = first(2, failure(429, "slow down", Retry_After="0"))
    assert ask(request(), settings(endpoint.base_url)).retries == 2


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-3"])
def test_a_retry_after_that_says_no_seconds_is_survived(
    endpoint: ScriptedEndpoint, no_backoff: None, header: str
) -> None:
    endpoint.chat = first(1, failure(429, "slow down", Retry_After=header))
    assert ask(request(), settings(endpoint.base_url)).retries == 1


MISHAPS = [
    failure(500, "oops"),
    failure(502, "bad gateway"),
    failure(503, "overloaded"),
    Answer(503, b"<html>overloaded</html>", {"content-type": "text/html"}),
    Answer(close=True),
    Answer(body=b"<html>log in</html>", headers={"content-type": "text/html"}),
    Answer(body=b'{"id": "c-1", "choi'),
    Answer(body=b""),
    Answer(body=[]),
    Answer(body={"error": {"message": "boo"}}),
    Answer(body={**completion(), "choices": []}),
    Answer(body={**completion(), "choices": None}),
    Answer(body={**completion(), "choices": [{"index": 0}]}),
    Answer(body=completion(message=None)),
]


@pytest.mark.parametrize(
    "mishap", MISHAPS, ids=lambda mishap: f"{mishap.status} {mishap.close} {str(mishap.body)[:20]}"
)
def test_what_may_pass_is_tried_again(endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer) -> None:
    endpoint.chat = first(2, mishap)
    reply = ask(request(), settings(endpoint.base_url, max_retries=2))
    assert (reply.text, reply.retries, len(endpoint.asked)) == ("fine", 2, 3)


@pytest.mark.parametrize(
    "mishap", MISHAPS, ids=lambda mishap: f"{mishap.status} {mishap.close} {str(mishap.body)[:20]}"
)
def test_what_does_not_pass_is_an_endpoint_error(endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer) -> None:
    endpoint.chat = lambda asked, number: mishap
    said = r"the critic's endpoint http://127.* for model 'm' after 2 attempts: ."
    with pytest.raises((EndpointError, EndpointLostError), match=said):
        ask(request(), settings(endpoint.base_url, max_retries=1))
    assert [body["messages"][-1]["content"] for body in endpoint.bodies[:2]] == ["Hello there."] * 2
    assert len(endpoint.asked) <= 3  # a plain question is asked to see whose fault it is


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_without_patience_what_a_person_has_to_mend_stops_the_run_at_once(
    endpoint: ScriptedEndpoint, status: int
) -> None:
    endpoint.chat = lambda asked, number: failure(status, "not like this")
    with pytest.raises(EndpointLostError, match=r"after 1 attempt: not like this"):
        ask(request(top_logprobs=5, json_schema=SCHEMA), settings(endpoint.base_url, patience_s=0))
    assert len(endpoint.asked) == 1


def test_once_an_endpoint_is_lost_nobody_asks_it_again(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(401, {"error": "no"}, delay_s=0.1)
    lost = ask_all([request(str(n)) for n in range(6)], settings(endpoint.base_url, max_concurrency=2, patience_s=0))
    assert all(isinstance(each, EndpointLostError) for each in lost)
    assert len(endpoint.asked) <= 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_prompt_that_is_refused_fails_alone_and_at_once(endpoint: ScriptedEndpoint, status: int) -> None:
    body = {"error": {"message": "The prompt was filtered.", "code": "content_filter", "param": "prompt", "type": None}}
    endpoint.chat = first(1, Answer(status, body))
    refused, fine = ask_all([request("a"), request("b")], settings(endpoint.base_url, max_concurrency=1))
    assert isinstance(refused, EndpointError)
    assert isinstance(fine, LLMReply)
    assert len(endpoint.asked) == 2


def test_an_attempt_that_takes_too_long_is_given_up_and_tried_again(
    endpoint: ScriptedEndpoint, no_backoff: None
) -> None:
    endpoint.chat = first(1, Answer(body=completion("late"), delay_s=1.5))
    began = time.monotonic()
    reply = ask(request(), settings(endpoint.base_url, timeout_s=0.4))
    assert (reply.text, reply.retries) == ("fine", 1)
    assert time.monotonic() - began < 1.5


def test_an_endpoint_that_is_not_there_is_tried_again_then_named(no_backoff: None) -> None:
    with pytest.raises(EndpointLostError, match=r"http://127\.0\.0\.1:9/v1 .* after \d+ attempts: connection refused"):
        ask(request(), settings("http://127.0.0.1:9/v1", max_retries=2, patience_s=0.2))


@pytest.mark.parametrize(("cap", "most"), [(1, 1), (3, 3)])
def test_no_more_calls_than_allowed_are_in_flight(endpoint: ScriptedEndpoint, cap: int, most: int) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion(), delay_s=0.1)
    replies = ask_all([request(str(n)) for n in range(9)], settings(endpoint.base_url, max_concurrency=cap))
    assert [reply.text for reply in replies if isinstance(reply, LLMReply)] == ["fine"] * 9
    assert endpoint.most_at_once == most


def test_as_many_calls_are_in_flight_as_are_allowed(endpoint: ScriptedEndpoint) -> None:
    many = 130  # aiohttp's own bound is 100
    endpoint.chat = lambda asked, number: Answer(body=completion(), delay_s=2.0)
    replies = ask_all([request(str(n)) for n in range(many)], settings(endpoint.base_url, max_concurrency=many))
    assert [reply.text for reply in replies if isinstance(reply, LLMReply)] == ["fine"] * many
    assert endpoint.most_at_once > 100


def answered_within(seconds: float, requests: list[LLMRequest], settings: EndpointSettings) -> int:
    async def run() -> int:
        client = OpenAIClient(settings)
        asking = [asyncio.ensure_future(client.complete(request)) for request in requests]
        done, waiting = await asyncio.wait(asking, timeout=seconds)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await client.close()
        return sum(task.exception() is None for task in done)

    return asyncio.run(run())


def test_requests_per_minute_are_kept(endpoint: ScriptedEndpoint) -> None:
    limited = settings(endpoint.base_url, requests_per_minute=3)
    assert answered_within(2, [request(str(n)) for n in range(6)], limited) == 3
    assert len(endpoint.asked) == 3


def test_a_further_attempt_counts_as_a_request(endpoint: ScriptedEndpoint, no_backoff: None) -> None:
    endpoint.chat = lambda asked, number: failure(500, "oops")
    assert answered_within(1.5, [request()], settings(endpoint.base_url, requests_per_minute=2)) == 0
    assert len(endpoint.asked) == 2


def test_tokens_per_minute_are_kept_for_prompt_and_reply(endpoint: ScriptedEndpoint) -> None:
    limited = settings(endpoint.base_url, tokens_per_minute=120)
    large = request("word " * 40, sampling=Sampling(max_tokens=8))  # some 52 tokens of prompt, and 8
    assert answered_within(1.5, [large] * 5, limited) == 2


def test_a_request_larger_than_the_tokens_of_a_minute_is_asked_all_the_same(endpoint: ScriptedEndpoint) -> None:
    assert (
        answered_within(
            10, [request(sampling=Sampling(max_tokens=500))], settings(endpoint.base_url, tokens_per_minute=100)
        )
        == 1
    )


def test_stop_asking_ends_what_has_not_been_asked_and_keeps_what_has(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion(), delay_s=0.5)

    async def run() -> list[LLMReply | BaseException]:
        client = OpenAIClient(settings(endpoint.base_url, max_concurrency=1))
        asking = asyncio.gather(*(client.complete(request(str(n))) for n in range(3)), return_exceptions=True)
        while not endpoint.asked:  # noqa: ASYNC110 - the endpoint is a thread
            await asyncio.sleep(0.01)
        client.stop_asking()
        replies = await asking
        await client.close()
        return replies

    first_reply, *others = asyncio.run(run())
    assert isinstance(first_reply, LLMReply)
    assert all(isinstance(other, EndpointError) and "the run is ending" in str(other) for other in others)
    assert len(endpoint.asked) == 1


def test_stop_asking_ends_what_waits_for_its_share_of_a_minute(endpoint: ScriptedEndpoint) -> None:
    async def run() -> tuple[list[LLMReply | BaseException], float]:
        client = OpenAIClient(settings(endpoint.base_url, requests_per_minute=1))
        asking = asyncio.gather(*(client.complete(request(str(n))) for n in range(3)), return_exceptions=True)
        while not endpoint.asked:  # noqa: ASYNC110 - the endpoint is a thread
            await asyncio.sleep(0.01)
        began = time.monotonic()
        client.stop_asking()
        replies = await asyncio.wait_for(asking, 10)
        took = time.monotonic() - began
        await client.close()
        return replies, took

    (first_reply, *others), took = asyncio.run(run())
    assert isinstance(first_reply, LLMReply)
    assert all(isinstance(other, EndpointError) and "the run is ending" in str(other) for other in others)
    assert took < 5
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end_fills_no_memory(
    endpoint: ScriptedEndpoint, no_backoff: None, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(chat, "MOST_BYTES", 1000)
    endpoint.chat = first(1, Answer(status, completion("x" * 2000)))
    assert ask(request(), settings(endpoint.base_url, max_retries=1)).text == "fine"
    assert len(endpoint.asked) == 2
