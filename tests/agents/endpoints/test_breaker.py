"""An endpoint that answers nobody holds everybody up, and fails no item; one item's own fault fails that item alone."""

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from openmic.agents.endpoints import gate
from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.endpoints.failures import Failure, Kind
from openmic.core.errors import EndpointError, EndpointLostError
from openmic.core.records import LLMReply

from ...waiting import until
from ..factories import ask_all, request, settings
from ..scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure
from ..watched import lines_told

DOWN = {
    "refuses the key": failure(401, "no such key"),
    "no credit": failure(402, "no credit"),
    "forbidden": failure(403, "not for you"),
    "no such model": failure(404, "the model `m` does not exist"),
    "fails": failure(500, "oops"),
    "no gateway": failure(502, "bad gateway"),
    "loading": failure(503, "loading"),
    "no answer": failure(504, "time-out"),
    "hangs up": Answer(close=True),
    "no JSON": Answer(body=b"<html>maintenance</html>"),
    "nothing": Answer(body=b""),
    "takes too long": Answer(delay_s=0.4),
}


def poisoned(asked: Asked) -> bool:
    return "poison" in asked.body["messages"][-1]["content"]


def asking(client: OpenAIClient, texts: Sequence[str]) -> list[asyncio.Task[LLMReply]]:
    return [asyncio.create_task(client.complete(request(text))) for text in texts]


@pytest.mark.parametrize("mishap", DOWN.values(), ids=DOWN)
def test_what_is_down_for_a_while_costs_no_item(endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer) -> None:
    back = threading.Event()
    endpoint.chat = lambda asked, number: Answer(body=completion()) if back.is_set() else mishap

    async def act(client: OpenAIClient) -> None:
        calls = asking(client, [str(number) for number in range(12)])
        await until(lambda: "does not answer" in client.trouble)
        assert "one call tries again" in client.trouble
        sent, began = len(endpoint.asked), time.monotonic()
        await asyncio.sleep(0.4)
        # Of twelve that wait, one at a time is sent.
        assert len(endpoint.asked) - sent <= 12
        back.set()
        replies = await asyncio.gather(*calls)
        assert {reply.text for reply in replies} == {"fine"}
        assert client.trouble == ""
        assert time.monotonic() - began < 5

    theirs = settings(endpoint.base_url, max_retries=3, max_concurrency=8, timeout_s=0.2, patience_s=20)
    shut, opened = lines_told(theirs, act)
    assert "does not answer" in shut
    assert "(patience_s)" in shut
    assert "answers again after" in opened


@pytest.mark.parametrize("mishap", DOWN.values(), ids=DOWN)
def test_what_stays_down_ends_the_run_and_fails_no_item(
    endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer
) -> None:
    endpoint.chat = lambda asked, number: mishap
    theirs = settings(endpoint.base_url, max_retries=9, max_concurrency=4, timeout_s=0.2, patience_s=0.5)
    ended = ask_all([request(str(number)) for number in range(6)], theirs)
    assert {type(each) for each in ended} == {EndpointLostError}
    [said] = {str(each) for each in ended}
    assert said.startswith("the critic's endpoint http://127.0.0.1:")


ACCOUNT = {
    "can pay for short replies alone": failure(402, "you can only afford 30 tokens"),
    "has used up its quota": failure(429, "insufficient quota"),
    "has a key that only some servers behind a gateway know": failure(401, "no such key"),
}


@pytest.mark.parametrize("mishap", ACCOUNT.values(), ids=ACCOUNT)
@pytest.mark.parametrize("max_retries", [0, 2])
def test_an_account_that_is_answered_other_questions_fails_no_item(
    endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer, max_retries: int
) -> None:
    endpoint.chat = lambda asked, number: mishap if poisoned(asked) else Answer(body=completion())
    theirs = settings(endpoint.base_url, max_retries=max_retries, max_concurrency=2, patience_s=0.5)
    first, second = ask_all([request("poison"), request("another")], theirs)
    assert isinstance(first, EndpointLostError)
    assert not isinstance(second, EndpointError) or isinstance(second, EndpointLostError)


def test_a_server_that_starts_while_it_is_waited_for_is_asked(no_backoff: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def act(client: OpenAIClient) -> None:
        calls = asking(client, "abcdef")
        await until(lambda: "connection refused" in client.trouble)
        await asyncio.sleep(0.3)
        with ScriptedEndpoint(port) as late:
            assert {reply.text for reply in await asyncio.gather(*calls)} == {"fine"}
            assert len(late.asked) == 6

    # Not one of its own attempts does a call lose to a server that is not there.
    shut, opened = lines_told(settings(f"http://127.0.0.1:{port}/v1", max_retries=0, patience_s=20), act)
    assert "connection refused" in shut
    assert "answers again" in opened


OWN = {
    "crashes the server": Answer(close=True),
    "fails": failure(500, "oops"),
    "takes too long": Answer(delay_s=0.4),
    "is turned away by a firewall": Answer(403, b"<html>blocked</html>"),
    "no gateway": failure(502, "bad gateway"),
}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("mishap", OWN.values(), ids=OWN)
def test_an_item_that_is_never_answered_fails_alone(
    endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer, concurrency: int
) -> None:
    endpoint.chat = lambda asked, number: mishap if poisoned(asked) else Answer(body=completion())
    theirs = settings(endpoint.base_url, max_retries=2, max_concurrency=concurrency, timeout_s=0.2, patience_s=0.3)
    ended = ask_all([request(text) for text in ("poison 1", "a", "b", "poison 2", "c", "d")], theirs)
    assert [type(each) for each in ended] == [EndpointError, LLMReply, LLMReply] * 2


def test_a_rate_limit_that_lets_some_through_fails_nobody(endpoint: ScriptedEndpoint, no_backoff: None) -> None:
    # Each is turned away far more often than `max_retries`; one in four requests gets through.
    turned_away = failure(429, "slow down")
    endpoint.chat = lambda asked, number: turned_away if number % 4 else Answer(body=completion())
    ended = ask_all([request(str(n)) for n in range(8)], settings(endpoint.base_url, max_retries=4, max_concurrency=8))
    assert {type(each) for each in ended} == {LLMReply}


def test_a_rate_limit_that_lets_nobody_through_ends_the_run(endpoint: ScriptedEndpoint, no_backoff: None) -> None:
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    ended = ask_all([request(str(n)) for n in range(3)], settings(endpoint.base_url, max_retries=3))
    assert {type(each) for each in ended} == {EndpointLostError}


def test_those_who_try_if_it_answers_take_turns(endpoint: ScriptedEndpoint, no_backoff: None) -> None:
    endpoint.chat = lambda asked, number: failure(402, "no credit")
    ask_all([request(text) for text in "abcd"], settings(endpoint.base_url, max_concurrency=4, patience_s=0.4))
    tried = [body["messages"][-1]["content"] for body in endpoint.bodies]
    assert set(tried[4:]) >= set("abcd")
    assert all(one != other for one, other in pairwise(tried[4:]))


def test_intervals_grow_and_a_wait_that_is_asked_for_is_kept(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_INTERVAL_S", 0.1)
    waits = iter(["0.7"])
    endpoint.chat = lambda asked, number: failure(503, "loading", Retry_After=next(waits, "0"))
    ask_all([request()], settings(endpoint.base_url, patience_s=1.0))
    at = [asked.at for asked in endpoint.asked]
    gaps = [after - before for before, after in pairwise(at)]
    assert gaps[0] >= 0.65


def test_a_call_that_is_cancelled_while_it_tries_leaves_its_place_to_another(
    endpoint: ScriptedEndpoint, no_backoff: None
) -> None:
    back = threading.Event()
    endpoint.chat = lambda asked, number: (
        Answer(body=completion()) if back.is_set() else Answer(401, {"error": "no"}, delay_s=0.2)
    )

    async def act(client: OpenAIClient) -> None:
        calls = asking(client, "abc")
        await until(lambda: len(endpoint.asked) == 4)  # one of them tries
        for call in calls[:2]:
            call.cancel()
        back.set()
        assert (await asyncio.wait_for(calls[2], 5)).text == "fine"

    lines_told(settings(endpoint.base_url, patience_s=20), act)


def test_an_end_is_not_held_up(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(402, "no credit")

    async def act(client: OpenAIClient) -> None:
        calls = asking(client, "abc")
        await until(lambda: "no credit" in client.trouble)
        client.stop_asking()
        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
        assert all(isinstance(each, EndpointError) and "the run is ending" in str(each) for each in ended)

    lines_told(settings(endpoint.base_url, patience_s=60), act)


def test_whoever_is_cancelled_when_it_is_its_turn_to_try_keeps_nobody_waiting() -> None:
    async def run() -> None:
        shut, turns = gate.Gate(), list[str]()
        down = Failure(Kind.SHUT, "no credit")

        calls = {name: object() for name in "abc"}

        async def pass_through(name: str) -> None:
            await shut.passed(calls[name])
            turns.append(name)

        shut.failed("earlier", down, patience_s=60)
        waiting = {name: asyncio.create_task(pass_through(name)) for name in calls}
        await until(lambda: turns == ["a"])  # the others wait for what comes of it
        shut.leave(calls["a"])
        waiting["b"].cancel()  # at the very moment at which it would go
        await until(lambda: turns == ["a", "c"], seconds=5)
        await asyncio.gather(*waiting.values(), return_exceptions=True)

    asyncio.run(run())
