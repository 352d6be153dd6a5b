"""Every fault that the cast can be told to have, over real HTTP, before the client that a run asks with."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from openmic.agents.endpoints import gate, waits
from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.endpoints.simulated import FAULTS, LASTING, PASSING, SimulatedCastSettings
from openmic.core.errors import EndpointError, EndpointLostError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.simulator import SimulatorSettings

from .conftest import Serve, ask, critique_body, demonstrate_body, said

WAIT_S = 0.05


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(gate, "FIRST_INTERVAL_S", 0.01)


def asked(serve: Serve, number: int, faults: dict[str, float], **more: Any) -> list[LLMReply | BaseException]:
    """What comes of so many requests at once."""
    url = str(serve(faults=faults, retry_after_s=WAIT_S).base_url).rstrip("/") + "/v1"

    async def run() -> list[LLMReply | BaseException]:
        client = OpenAIClient(EndpointSettings(model="sim-teacher", timeout_s=0.5, **more), base_url=url)
        requests = (
            LLMRequest(
                "teacher",
                "sim-teacher",
                (Message(role="user", content=f"Write exactly 1.\n<sentence>The bus left town {n}.</sentence>"),),
                Sampling(max_tokens=60),
                seed=3,
            )
            for n in range(number)
        )
        try:
            return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("fault", PASSING)
def test_an_attempt_that_fails_is_made_again_and_costs_no_item(serve: Serve, fault: str) -> None:
    replies = asked(serve, 3, {fault: 1.0})
    assert all(isinstance(reply, LLMReply) and "bus left town" in reply.text for reply in replies), replies
    assert all(isinstance(reply, LLMReply) and reply.retries >= 2 for reply in replies)


def test_all_of_them_mixed_cost_no_item(serve: Serve) -> None:
    replies = asked(serve, 60, dict.fromkeys(PASSING, 0.5 / len(PASSING)))
    assert [reply for reply in replies if not isinstance(reply, LLMReply)] == []
    assert sum(reply.retries for reply in replies if isinstance(reply, LLMReply)) > 20


def test_a_prompt_that_is_filtered_fails_alone_and_at_once(serve: Serve) -> None:
    replies = asked(serve, 20, {"filtered": 0.3})
    assert {type(reply) for reply in replies} == {LLMReply, EndpointError}


@pytest.mark.parametrize("fault", ["empty_reply", "filtered_reply", "cut_off", "refusal"])
def test_a_reply_that_is_spoiled_is_a_reply(serve: Serve, fault: str) -> None:
    whole = said(ask(serve(), demonstrate_body("The bus left.")))
    spoiled = ask(serve(faults={fault: 1.0}), demonstrate_body("The bus left."))["choices"][0]
    text = spoiled["message"]["content"]
    assert {
        "empty_reply": text == "" and spoiled["finish_reason"] == "stop",
        "filtered_reply": text == "" and spoiled["finish_reason"] == "content_filter",
        "cut_off": whole.startswith(text) and 0 < len(text) < len(whole) and spoiled["finish_reason"] == "length",
        "refusal": text.startswith("I'm sorry"),
    }[fault]


def test_each_429_says_in_its_own_way_how_long_to_wait(serve: Serve) -> None:
    for fault in (kind for kind in PASSING if kind.startswith("429_")):
        client = serve(faults={fault: 1.0}, retry_after_s=30)
        reply = client.post("/v1/chat/completions", json=demonstrate_body("The bus left."))
        assert reply.status_code == 429
        wait = waits.asked_wait(reply.headers, reply.json())
        assert wait is not None, fault
        assert 29 <= wait <= 32, fault


def test_an_attempt_that_is_never_answered_holds_up_nobody_else(serve: Serve) -> None:
    client = serve(faults={"timeout": 0.5})
    began = time.monotonic()
    for number in range(6):
        try:
            client.post("/v1/chat/completions", json=demonstrate_body(f"Bus {number} left."), timeout=0.2)
        except httpx.ReadTimeout:
            continue
    assert time.monotonic() - began < 5


def test_what_was_not_answered_whole_is_not_logged_as_answered(serve: Serve, tmp_path: Any) -> None:
    log = tmp_path / "log.jsonl"
    client = serve(log=log, faults={"half_answer": 1.0})
    body = critique_body("The bus left.", "The bus left town.")
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/v1/chat/completions", json=body)
    ask(client, body)
    lines = [httpx.Response(200, content=line).json() for line in log.read_text().splitlines()]
    assert [(line["status"], line["fault"]) for line in lines] == [(499, "half_answer")] * 2 + [(200, None)]


@pytest.mark.parametrize("settings", [SimulatorSettings, SimulatedCastSettings])
@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"418": 0.1}, "there is no fault '418'; there are 401"),
        ({429: 2}, "429: 2 is no share"),
        ({"500": True}, "500: True is no share"),
        ({"500": "often"}, "'often' is no share"),
        ({"500": 0.7, "502": 0.7}, "more than all requests"),
    ],
)
def test_faults_that_there_are_not_are_refused(settings: Any, faults: dict[Any, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(faults=faults)
    assert settings(faults={429: 0.5, "refusal": 1}).faults == {"429": 0.5, "refusal": 1.0}


def test_every_fault_is_one_kind_or_the_other() -> None:
    assert FAULTS.keys() == PASSING.keys() | LASTING.keys()
    assert not PASSING.keys() & LASTING.keys()


def test_a_server_that_stays_away_is_lost(serve: Serve) -> None:
    client = serve(api_key="sesame")
    settings = EndpointSettings(model="sim-teacher", patience_s=0.3)
    url = str(client.base_url).rstrip("/") + "/v1"

    async def run() -> None:
        lost = OpenAIClient(settings, base_url=url)
        try:
            message = Message(role="user", content="The bus left.")
            await lost.complete(LLMRequest("teacher", "sim-teacher", (message,), Sampling(), seed=3))
        finally:
            await lost.close()

    with pytest.raises(EndpointLostError, match="Incorrect API key"):
        asyncio.run(run())
