"""A reply that is thought alone is asked for again with more room, and the next call starts with it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.endpoints.room import FIRST_ROOM, MOST_ROOM
from openmic.core.errors import BudgetError, EndpointError
from openmic.core.records import LLMReply, LLMRequest

from ..factories import ask, ask_all, ask_in_turn, request, settings
from ..scripted_endpoint import Answer, Asked, Script, ScriptedEndpoint, completion, failure


def caps(endpoint: ScriptedEndpoint) -> list[int]:
    return [body.get("max_completion_tokens") or body["max_tokens"] for body in endpoint.bodies]


def one_after_another(endpoint: ScriptedEndpoint, *requests: LLMRequest) -> list[LLMReply]:
    return ask_in_turn(requests, settings(endpoint.base_url))


def thinking(needs: int, alone: dict[str, Any], finish: str = "length") -> Script:
    """A model that answers once its cap is at least `needs`, and else sends a message that is thought alone."""

    def script(asked: Asked, number: int) -> Answer:
        if (asked.body.get("max_completion_tokens") or asked.body["max_tokens"]) >= needs:
            return Answer(body=completion("<think>Hm.</think>2", usage={"prompt_tokens": 5, "completion_tokens": 50}))
        body = completion(finish_reason=finish, usage={"prompt_tokens": 5, "completion_tokens": 12})
        body["choices"][0]["message"] = {"role": "assistant", **alone}
        return Answer(body=body)

    return script


ALONE = [
    {"content": "<think>Hm"},
    {"content": "<think>Hm</think>\n"},
    {"content": "Okay, the user wants a label"},
    {"content": None, "reasoning_content": "Hm"},
    {"content": "", "reasoning": "Hm"},
    {"content": None},
    {"content": [{"type": "thinking", "thinking": "Hm"}]},
]


@pytest.mark.parametrize("alone", ALONE)
def test_a_thought_alone_is_asked_for_again_and_the_room_is_remembered(
    endpoint: ScriptedEndpoint, alone: dict[str, Any]
) -> None:
    endpoint.chat = thinking(1500, alone)
    replies = one_after_another(endpoint, request("a"), request("b"))
    assert [reply.text for reply in replies] == ["2", "2"]
    assert caps(endpoint) == [12, 12 + FIRST_ROOM, 12 + 4 * FIRST_ROOM, 12 + 4 * FIRST_ROOM]
    assert [(reply.usage.input, reply.usage.output) for reply in replies] == [(5, 50), (5, 50)]
    assert [reply.raw.get("thought_alone") for reply in replies] == [2, None]
    assert replies[0].thought == "Hm."


def test_whoever_pays_is_handed_each_thought_before_more_is_asked_and_may_refuse(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(1500, {"content": "<think>Hm"})
    handed: list[tuple[int, LLMReply]] = []

    async def aside(reply: LLMReply) -> None:
        handed.append((len(endpoint.bodies), reply))
        if len(handed) == 3:
            raise BudgetError("nothing is left")

    async def run() -> None:
        client = OpenAIClient(settings(endpoint.base_url))
        try:
            assert (await client.complete(request("a"), aside)).text == "2"
            endpoint.chat = thinking(10**9, {"content": "<think>Hm"})
            with pytest.raises(BudgetError, match="nothing is left"):
                await client.complete(request("b"), aside)
        finally:
            await client.close()

    asyncio.run(run())
    assert [asked for asked, _ in handed] == [1, 2, 4]
    assert [reply.raw["room"] for _, reply in handed] == [0, FIRST_ROOM, 4 * FIRST_ROOM]
    assert len(endpoint.bodies) == 4
    assert {(reply.usage.output, reply.text) for _, reply in handed} == {(12, "")}


def test_what_another_process_found_out_is_where_it_starts(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(1500, {"content": "<think>Hm"})

    async def run() -> None:
        client = OpenAIClient(settings(endpoint.base_url))
        try:
            for room in (FIRST_ROOM, 0):
                client.remember_thought(room)
            assert (await client.complete(request("a"))).text == "2"
            client.remember_thought(MOST_ROOM)
            await client.complete(request("b"))
        finally:
            await client.close()

    asyncio.run(run())
    assert caps(endpoint) == [12 + 4 * FIRST_ROOM, 12 + MOST_ROOM]


def test_a_reply_after_a_thought_has_the_time_of_its_own_call(endpoint: ScriptedEndpoint) -> None:
    script = thinking(500, {"content": "<think>Hm"})
    endpoint.chat = lambda asked, number: replace(script(asked, number), delay_s=0.0 if number else 1.0)
    [reply] = one_after_another(endpoint, request("a"))
    assert reply.text == "2"
    assert reply.latency_ms < 1000


def test_a_thought_alone_is_not_asked_for_again_once_the_run_ends(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(1500, {"content": "<think>Hm"})

    async def run() -> None:
        client = OpenAIClient(settings(endpoint.base_url))

        async def aside(reply: LLMReply) -> None:
            client.stop_asking()

        try:
            with pytest.raises(EndpointError, match="the run is ending"):
                await client.complete(request("a"), aside)
        finally:
            await client.close()

    asyncio.run(run())
    assert len(endpoint.bodies) == 1


def test_calls_at_once_learn_it_together(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(500, {"content": "<think>Hm"})
    replies = ask_all([request(str(number)) for number in range(8)], settings(endpoint.base_url, max_concurrency=8))
    assert {reply.text for reply in replies if isinstance(reply, LLMReply)} == {"2"}
    assert set(caps(endpoint)) <= {12, 12 + FIRST_ROOM}
    assert len(endpoint.bodies) <= 16


def test_a_model_that_is_seen_to_think_gets_room_from_then_on(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion("Hm.</think>2"))
    one_after_another(endpoint, request("a"), request("b"))
    assert caps(endpoint) == [12, 12 + FIRST_ROOM]


@pytest.mark.parametrize("text", ["1", "", "The first one"])
def test_a_model_that_does_not_think_gets_none(endpoint: ScriptedEndpoint, text: str) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion(text))
    one_after_another(endpoint, request("a"), request("b"))
    assert caps(endpoint) == [12, 12]


def test_a_model_that_never_answers_is_given_up_on(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(10**9, {"content": "<think>Hm"})
    reply = ask(request(), settings(endpoint.base_url))
    assert (reply.text, reply.thought) == ("", "Hm")
    assert caps(endpoint)[-1] == 12 + MOST_ROOM
    assert len(endpoint.bodies) == 4


def test_a_thought_that_ended_by_itself_is_asked_for_again_once(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = thinking(10**9, {"content": None, "reasoning_content": "The answer is 2"}, finish="stop")
    assert ask(request(), settings(endpoint.base_url)).text == ""
    assert caps(endpoint) == [12, 12 + FIRST_ROOM]


def test_where_the_room_is_more_than_the_context_less_is_asked_for(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if asked.body["max_completion_tokens"] > 2048:
            return failure(
                400, "max_completion_tokens is too large: this model's maximum context length is 2048 tokens"
            )
        return thinking(1900, {"content": "<think>Hm"})(asked, number)

    endpoint.chat = script
    assert [reply.text for reply in one_after_another(endpoint, request("a"), request("b"))] == ["2", "2"]
    assert 1900 <= caps(endpoint)[-1] <= 2048
    assert caps(endpoint)[-1] == caps(endpoint)[-2]
    assert len(endpoint.bodies) < 9
