"""What is waited for, how long, and what is said of it meanwhile."""

import asyncio
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

import pytest
from aiolimiter import AsyncLimiter

from openmic.agents.endpoints import client
from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.endpoints.known import Known
from openmic.agents.endpoints.options import RequestOptions
from openmic.core.errors import EndpointError, EndpointLostError

from ...waiting import until
from ..factories import ask, first, request, settings
from ..scripted_endpoint import Answer, QuietServer, ScriptedEndpoint, completion, failure
from ..watched import lines_told


def test_a_long_wait_is_told_once_and_pauses_the_endpoint_for_all(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(4, failure(429, "used up for now", Retry_After="3600"))

    async def act(client: OpenAIClient) -> None:
        asking = [asyncio.ensure_future(client.complete(request(str(n)))) for n in range(8)]
        await asyncio.sleep(1.0)
        assert "left alone for 60 min" in client.trouble
        assert "used up for now" in client.trouble
        client.stop_asking()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(end, EndpointError) for end in ended)

    lines = lines_told(settings(endpoint.base_url, max_concurrency=4), act)
    assert len(endpoint.asked) == 4
    [line] = lines
    assert "asks to wait 60 min, until" in line
    assert line.endswith("used up for now")


def test_all_clients_of_an_endpoint_wait(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(1, failure(429, "slow down", Retry_After="1"))
    known = Known(RequestOptions(endpoint.base_url))

    async def act(client: OpenAIClient) -> None:
        other = OpenAIClient(settings(endpoint.base_url), known=known)
        one = asyncio.ensure_future(client.complete(request("a")))
        await until(lambda: client.trouble)
        await asyncio.gather(one, other.complete(request("b")))
        await other.close()

    lines_told(settings(endpoint.base_url), act, known=known)
    times = [asked.at for asked in endpoint.asked]
    assert min(times[1:]) - times[0] >= 0.95


def test_a_wait_beyond_a_day_ends_the_run(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(429, "next month", Retry_After=str(30 * 24 * 3600))
    with pytest.raises(EndpointLostError, match=r"it asks to wait 30 days: next month"):
        ask(request(), settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


def test_a_prompt_that_is_turned_away_ends_no_run_whatever_its_headers_say(endpoint: ScriptedEndpoint) -> None:
    refused = Answer(400, {"error": {"message": "filtered", "code": "content_filter"}}, {"x-ratelimit-reset": "30h"})
    endpoint.chat = first(1, refused)

    async def act(client: OpenAIClient) -> None:
        with pytest.raises(EndpointError, match="after 1 attempt: filtered"):
            await client.complete(request("a"))
        assert (await client.complete(request("b"))).text == "fine"

    lines_told(settings(endpoint.base_url), act)


def test_all_that_a_pause_holds_up_are_counted(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(1, failure(429, "used up for now", Retry_After="3600"))

    async def act(client: OpenAIClient) -> None:
        one = asyncio.ensure_future(client.complete(request("a")))
        while not client.trouble:  # noqa: ASYNC110 - it is asked for, and tells nobody
            await asyncio.sleep(0.01)
        more = [asyncio.ensure_future(client.complete(request(text))) for text in "bc"]
        await asyncio.sleep(0.1)
        assert client.trouble.endswith("(3 waiting)")
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        assert client.trouble.endswith("(2 waiting)")
        client.stop_asking()
        await asyncio.gather(*more, return_exceptions=True)
        assert client.trouble.endswith("(0 waiting)")

    lines_told(settings(endpoint.base_url), act)


def test_what_a_pause_holds_up_is_sent_at_the_limits_pace(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_per_minute", lambda limit: limit and AsyncLimiter(limit, 0.5))
    endpoint.chat = first(2, failure(429, "slow down", Retry_After="2"))

    async def act(client: OpenAIClient) -> None:
        await asyncio.gather(*(client.complete(request(str(n))) for n in range(8)))

    lines_told(settings(endpoint.base_url, requests_per_minute=2, max_concurrency=10), act)
    first_of_all, _, *after = sorted(asked.at for asked in endpoint.asked)
    assert after[0] - first_of_all >= 1.9
    assert sum(at - after[0] < 0.4 for at in after) <= 4


def test_trouble_is_told_while_it_lasts_with_its_place_and_reason(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = first(1, failure(503, "Loading model"))

    async def act(client: OpenAIClient) -> None:
        assert client.trouble == ""
        asking = asyncio.ensure_future(client.complete(request()))
        await until(lambda: client.trouble)
        assert client.trouble == f"the critic's endpoint {endpoint.base_url}: Loading model; trying again (1 waiting)"
        await asking
        assert client.trouble == ""

    lines_told(settings(endpoint.base_url), act)


def test_what_an_endpoint_lacks_is_told_once(endpoint: ScriptedEndpoint) -> None:
    async def act(client: OpenAIClient) -> None:
        for text in "ab":
            await client.complete(request(text, top_logprobs=5))

    lines = lines_told(settings(endpoint.base_url), act, samples=5)
    assert [line.partition(" gives ")[2] for line in lines] == [
        "no log-probabilities: labels are sampled instead, 8 more calls a comparison (verdict.samples)"
    ]


def test_what_cannot_be_read_is_left_out_counted_and_told(endpoint: ScriptedEndpoint) -> None:
    usage = {"prompt_tokens": 2**70, "completion_tokens": "3"}
    body = completion("1", usage=usage, model=None, finish_reason={"why": "stop"})
    body["choices"][0]["message"]["role"] = None
    endpoint.chat = lambda asked, number: Answer(body=body)
    lines: list[str] = []

    async def act(client: OpenAIClient) -> None:
        reply = await client.complete(request())
        assert (reply.text, reply.model, reply.finish_reason, reply.usage.output) == ("1", "m", None, 3)
        assert reply.raw["unreadable"] == {"usage": 1, "finish_reason": 1, "role": 1}
        assert len(endpoint.asked) == 1

    lines = lines_told(settings(endpoint.base_url), act)
    assert sorted(line.split(" sends ")[1].split()[0] for line in lines) == ["finish_reason", "role", "usage"]


@pytest.mark.parametrize("status", [408, 409, 425, 500, 503, 529])
def test_what_passes_is_tried_again(endpoint: ScriptedEndpoint, no_backoff: None, status: int) -> None:
    endpoint.chat = first(1, failure(status, "not now"))
    assert ask(request(), settings(endpoint.base_url)).retries == 1


def test_one_item_that_fails_beside_others_that_are_answered_fails_alone(
    endpoint: ScriptedEndpoint, no_backoff: None
) -> None:
    def script(asked: Any, number: int) -> Answer:
        poisoned = "poison" in asked.body["messages"][-1]["content"]
        return failure(503, "oops") if poisoned else Answer(body=completion())

    endpoint.chat = script

    async def act(client: OpenAIClient) -> None:
        poisoned = asyncio.ensure_future(client.complete(request("poison")))
        while not poisoned.done():
            await client.complete(request("fine"))
        assert isinstance(poisoned.exception(), EndpointError)

    lines_told(settings(endpoint.base_url, max_retries=3), act)


@pytest.fixture
def dripping() -> Iterator[str]:
    """An endpoint that sends its answer a byte at a time."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                time.sleep(0.1)
                self.wfile.write(b" ")

        def log_message(self, *args: object) -> None:
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_attempt_ends_in_time_however_slowly_it_is_answered(dripping: str) -> None:
    began = time.monotonic()
    with pytest.raises(EndpointLostError, match=r"no reply within 0\.5 s \(timeout_s\)"):
        ask(request(), settings(dripping, timeout_s=0.5, max_retries=0))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/v1", "connection refused"),
        ("http://no-such-host.invalid/v1", "its name cannot be resolved"),
    ],
)
def test_the_true_cause_is_told(url: str, reason: str) -> None:
    with pytest.raises(EndpointLostError, match=f"after 1 attempt: {reason}"):
        ask(request(), settings(url, max_retries=0, patience_s=0))


def test_a_connection_that_breaks_is_told_as_such(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(close=True)
    with pytest.raises(EndpointLostError, match="it hung up without an answer"):
        ask(request(), settings(endpoint.base_url, max_retries=0))


def test_a_key_that_an_endpoint_quotes_is_told_to_nobody(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-secret")
    endpoint.chat = lambda asked, number: failure(401, f"Incorrect API key: {asked.headers['Authorization']}")
    with pytest.raises(EndpointLostError, match="Incorrect API key: Bearer …"):
        ask(request(), settings(endpoint.base_url, patience_s=0))
