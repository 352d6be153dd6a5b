import asyncio
import time

import pytest

from openmic.agents.endpoints import client as openai_client
from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.errors import EndpointError
from openmic.core.records import LLMReply, LLMRequest, Sampling

from ..factories import SCHEMA, ask, ask_all, first, request, settings
from ..scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure


def test_retry_after_is_honoured(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(1, failure(429, "slow down", Retry_After="0.9"))
    reply = ask(request(), settings(endpoint.base_url))
    asked = [asked.at for asked in endpoint.asked]
    assert reply.retries == 1
    assert len(asked) == 2
    assert 0.9 <= asked[1] - asked[0] < 5
    assert reply.latency_ms >= 900


def test_retry_after_of_nothing_does_not_wait(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "BACKOFF_SECONDS", 100.0)
    endpoint.chat = first(2, failure(429, "slow down", Retry_After="0"))
    assert ask(request(), settings(endpoint.base_url)).retries == 2


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-3"])
def test_a_retry_after_that_says_no_seconds_is_survived(
    endpoint: ScriptedEndpoint, no_backoff: None, header: str
) -> None:
    endpoint.chat = first(1, failure(429, "slow down", Retry_After=header))
    assert ask(request(), settings(endpoint.base_url)).retries == 1


def test_waits_grow_and_never_exceed_a_minute() -> None:
    waits = [openai_client._wait_seconds(ValueError(), attempt) for attempt in range(20)]
    assert all(0.25 * 2**attempt <= wait or wait == 60 for attempt, wait in enumerate(waits))
    assert max(waits) == 60


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
    with pytest.raises(EndpointError, match=r"the critic's endpoint http://127.* for model 'm' after 2 attempts: ."):
        ask(request(), settings(endpoint.base_url, max_retries=1))
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_no_retry_can_mend_fails_at_once(endpoint: ScriptedEndpoint, status: int) -> None:
    endpoint.chat = lambda asked, number: failure(status, "not like this")
    with pytest.raises(EndpointError, match=r"after 1 attempt: .*not like this"):
        ask(request(top_logprobs=5, json_schema=SCHEMA), settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


def test_an_attempt_that_takes_too_long_is_given_up_and_tried_again(
    endpoint: ScriptedEndpoint, no_backoff: None
) -> None:
    endpoint.chat = first(1, Answer(body=completion("late"), delay_s=1.5))
    began = time.monotonic()
    reply = ask(request(), settings(endpoint.base_url, timeout_s=0.4))
    assert (reply.text, reply.retries) == ("fine", 1)
    assert time.monotonic() - began < 1.5


def test_an_endpoint_that_is_not_there_is_tried_again_then_named(no_backoff: None) -> None:
    with pytest.raises(EndpointError, match=r"http://127\.0\.0\.1:9/v1 .* after 3 attempts"):
        ask(request(), settings("http://127.0.0.1:9/v1", max_retries=2))


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


REFUSALS = [
    ("logprobs", "This model does not support logprobs.", {"logprobs", "top_logprobs"}),
    ("top_logprobs", "Unknown parameter: 'top_logprobs'.", {"top_logprobs", "logprobs"}),
    ("response_format", "'response_format' of type 'json_schema' is not supported.", {"response_format"}),
    ("seed", "Unrecognized request argument supplied: seed", {"seed"}),
    ("temperature", "Unsupported value: 'temperature' does not support 0.5 with this model.", {"temperature"}),
    ("top_p", "Unsupported parameter: 'top_p' is not supported with this model.", {"top_p"}),
]


@pytest.mark.parametrize(("refused", "message", "left_out"), REFUSALS)
def test_what_an_endpoint_refuses_is_done_without_from_then_on(
    endpoint: ScriptedEndpoint, refused: str, message: str, left_out: set[str]
) -> None:
    endpoint.chat = lambda asked, number: failure(400, message) if refused in asked.body else Answer(body=completion())

    async def run() -> list[LLMReply]:
        client = OpenAIClient(settings(endpoint.base_url))
        replies = [await client.complete(request(top_logprobs=5, json_schema=SCHEMA)) for _ in range(2)]
        await client.close()
        return replies

    replies = asyncio.run(run())
    assert [(reply.text, reply.token_logprobs) for reply in replies] == [("fine", None)] * 2
    assert replies[0].raw["left_out"] == replies[1].raw["left_out"] == [refused]
    sent = [{name for name, value in body.items() if value is not None} for body in endpoint.bodies]
    assert len(sent) == 3
    assert sent[0] - sent[1] == left_out
    assert sent[1] == sent[2]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_knows_the_limit_by_its_older_name_is_told_by_that(
    endpoint: ScriptedEndpoint, status: int
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "max_completion_tokens" in asked.body:
            return failure(status, "Extra inputs are not permitted: max_completion_tokens")
        return Answer(body=completion())

    endpoint.chat = script
    replies = ask_all([request(json_schema=SCHEMA)], settings(endpoint.base_url))
    assert [reply.text if isinstance(reply, LLMReply) else reply for reply in replies] == ["fine"]
    assert endpoint.bodies[1]["max_tokens"] == 12
    assert "response_format" in endpoint.bodies[1]


def test_what_the_refusal_names_as_its_parameter_goes_before_its_words(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "top_p" not in asked.body:
            return Answer(body=completion())
        message = "This value is not supported; set temperature or top_p, but not seed."
        return Answer(400, {"error": {"message": message, "type": "bad", "param": "top_p", "code": None}})

    endpoint.chat = script
    assert ask(request(), settings(endpoint.base_url)).raw["left_out"] == ["top_p"]


@pytest.mark.parametrize(
    "message",
    [
        "max_completion_tokens is too large: 12. This is not supported: at most 8.",
        "temperature must be between 0 and 0.4",
        "This model's maximum context length is 8 tokens; reduce max_completion_tokens",
    ],
)
def test_a_value_out_of_range_is_an_error_and_not_left_out(endpoint: ScriptedEndpoint, message: str) -> None:
    endpoint.chat = lambda asked, number: failure(400, message)
    with pytest.raises(EndpointError, match="after 1 attempt"):
        ask(request(), settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


def test_calls_in_flight_together_all_learn_what_is_refused(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "logprobs" not in asked.body:
            return Answer(body=completion())
        refusal = failure(400, "logprobs are not supported")
        return Answer(refusal.status, refusal.body, delay_s=0.1 + 0.1 * number)

    endpoint.chat = script
    replies = ask_all([request(str(n), top_logprobs=5) for n in range(4)], settings(endpoint.base_url))
    assert [reply.text if isinstance(reply, LLMReply) else reply for reply in replies] == ["fine"] * 4


def test_an_endpoint_that_refuses_everything_is_not_asked_for_ever(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(400, "no logprobs, top_logprobs, response_format, seed, nothing")
    with pytest.raises(EndpointError, match="nothing"):
        ask(request(top_logprobs=5, json_schema=SCHEMA), settings(endpoint.base_url))
    assert 2 <= len(endpoint.asked) <= 5


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
