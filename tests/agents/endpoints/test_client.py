import json
import math
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.endpoints.access import endpoint_key, endpoint_url
from openmic.agents.tasks.task import Task
from openmic.core.config import EndpointSettings
from openmic.core.errors import EndpointLostError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling, TokenLogprob, TokenUsage
from openmic.simulator import SimulatedCast

from ..factories import SCHEMA, always, ask, ask_all, request, settings
from ..scripted_endpoint import Answer, ScriptedEndpoint, completion, failure


def test_a_request_is_sent_as_it_was_made(endpoint: ScriptedEndpoint) -> None:
    ask(request(top_logprobs=20, json_schema=SCHEMA), settings(endpoint.base_url))
    sent = endpoint.bodies[0]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there."},
    ]
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["seed"]) == ("m", 0.5, 0.9, 3)
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 12
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert not sent.get("stream")


def test_a_conversation_keeps_its_roles(endpoint: ScriptedEndpoint) -> None:
    said = ("user", "a"), ("assistant", "b"), ("user", "c")
    messages = tuple(Message.model_validate({"role": role, "content": text}) for role, text in said)
    ask(request(messages=messages), settings(endpoint.base_url))
    assert [(message["role"], message["content"]) for message in endpoint.bodies[0]["messages"]] == list(said)


def test_nothing_is_asked_for_that_was_not_wanted(endpoint: ScriptedEndpoint) -> None:
    ask(request(), settings(endpoint.base_url))
    assert not {"logprobs", "top_logprobs", "response_format"} & {
        name for name, value in endpoint.bodies[0].items() if value is not None
    }


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        # xAI and Gemini count thoughts beside what was written, the latter in the total alone
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 141,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            TokenUsage(input=32, output=109, reasoning=100),
        ),
        (
            {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 141},
            TokenUsage(input=32, output=109, reasoning=100),
        ),
        ({"completion_tokens": 9, "total_tokens": 41}, TokenUsage(input=32, output=9)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 0}, TokenUsage(input=32, output=9)),
        (
            {"prompt_tokens": 32, "completion_tokens": 9, "prompt_cache_hit_tokens": 20},
            TokenUsage(input=32, cached=20, output=9),
        ),
        (
            {"input_tokens": 32, "output_tokens": 9, "cache_read_input_tokens": 20},
            TokenUsage(input=32, cached=20, output=9),
        ),
    ],
)
def test_tokens_are_read_as_they_are_charged(
    endpoint: ScriptedEndpoint, usage: dict[str, Any], kept: TokenUsage
) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion("1.", usage=usage))
    assert ask(request(), settings(endpoint.base_url)).usage == kept


def test_usage_model_and_log_probabilities_are_read(endpoint: ScriptedEndpoint) -> None:
    alternatives = [{"token": token, "logprob": p, "bytes": None} for token, p in (("1", -0.25), (" 2", -3.5))]
    later = {"token": ".\ud83d", "logprob": 0.0, "bytes": None, "top_logprobs": []}
    logprobs = {"content": [{**alternatives[0], "top_logprobs": alternatives}, later], "refusal": None}
    usage = {
        "prompt_tokens": 40,
        "completion_tokens": 9,
        "total_tokens": 49,
        "prompt_tokens_details": {"cached_tokens": 32},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    endpoint.chat = lambda asked, number: Answer(
        body=completion("1.", logprobs=logprobs, usage=usage, finish_reason="length"), delay_s=0.05
    )
    reply = ask(request(top_logprobs=2), settings(endpoint.base_url))
    assert (reply.text, reply.model, reply.finish_reason, reply.retries) == ("1.", "m-2026", "length", 0)
    assert reply.usage == TokenUsage(input=40, cached=32, output=9, reasoning=7)
    assert reply.token_logprobs == (
        TokenLogprob(token="1", logprob=-0.25, alternatives={"1": -0.25, " 2": -3.5}),
        TokenLogprob(token=".?", logprob=0.0),
    )
    assert 50 <= reply.latency_ms < 10_000
    raw = json.loads(json.dumps(reply.raw))
    assert raw["response_metadata"]["model_name"] == "m-2026"
    assert "logprobs" not in raw["response_metadata"]


def test_log_probabilities_in_lists_are_read_too(endpoint: ScriptedEndpoint) -> None:
    lists = {"tokens": ["1", "."], "token_logprobs": [-0.2, None], "token_ids": [16, 13]}
    for top in ({}, {"top_logprobs": None}, {"top_logprobs": [{"1": -0.2, "2": -1.7}]}):
        endpoint.chat = always(Answer(body=completion("1.", logprobs=lists | top)))
        odds = {"1": -0.2, "2": -1.7} if top.get("top_logprobs") else {}
        assert ask(request(top_logprobs=2), settings(endpoint.base_url)).token_logprobs == (
            TokenLogprob(token="1", logprob=-0.2, alternatives=odds),
            TokenLogprob(token=".", logprob=None),
        )


def test_what_the_endpoint_leaves_out_is_left_empty(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion(None, logprobs={"content": []}))
    reply = ask(request(top_logprobs=2), settings(endpoint.base_url))
    assert (reply.text, reply.usage, reply.token_logprobs) == ("", TokenUsage(), None)


def test_how_a_model_declines_is_kept(endpoint: ScriptedEndpoint) -> None:
    body = completion(None)
    body["choices"][0]["message"]["refusal"] = "I would rather not."
    endpoint.chat = lambda asked, number: Answer(body=body)
    reply = ask(request(json_schema=SCHEMA), settings(endpoint.base_url))
    assert (reply.text, reply.declined, reply.complete) == ("I would rather not.", True, False)
    assert reply.raw["additional_kwargs"]["refusal"] == "I would rather not."


def test_what_is_no_text_in_a_reply_can_be_stored_and_sent_again(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion("so \0 funny \ud83d"))
    reply = ask(request(), settings(endpoint.base_url))
    assert reply.text.encode() == b"so   funny ?"
    assert reply.model_dump_json()


def test_a_reply_that_should_be_json_and_was_cut_off_is_a_reply(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion('{"wor', finish_reason="length"))
    reply = ask(request(json_schema=SCHEMA), settings(endpoint.base_url))
    assert (reply.text, reply.finish_reason) == ('{"wor', "length")


def test_the_key_and_the_address_come_from_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-1\n")
    monkeypatch.setenv("OTHER_KEY", "sk-2")
    assert endpoint_key(EndpointSettings()) == "sk-1"
    assert endpoint_key(EndpointSettings(api_key_env="OTHER_KEY")) == "sk-2"
    assert endpoint_key(EndpointSettings(api_key_env="NO_SUCH_KEY")) is None
    assert endpoint_url(EndpointSettings()) == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a/v1/")
    assert endpoint_url(EndpointSettings()) == "http://a/v1"
    assert endpoint_url(EndpointSettings(base_url="http://b/v1/")) == "http://b/v1"


def test_the_key_is_sent_and_told_to_nobody_else(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-secret")
    theirs = settings(endpoint.base_url, api_key_env="OTHER_KEY")
    reply = ask(request(), theirs)
    assert endpoint.asked[0].authorization == "Bearer sk-secret"
    assert "sk-secret" not in reply.model_dump_json()
    endpoint.chat = lambda asked, number: failure(401, "no")
    with pytest.raises(EndpointLostError) as caught:
        ask(request(), theirs.model_copy(update={"patience_s": 0}))
    assert "sk-secret" not in str(caught.value)


def test_without_a_key_none_is_made_up(endpoint: ScriptedEndpoint) -> None:
    ask(request(), settings(endpoint.base_url))
    assert endpoint.asked[0].authorization == "Bearer none"


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(request(), settings(endpoint.base_url, max_retries=0)).text == "fine"


# The simulated cast


def compare(task: Task, text: str = "The bus left without me.") -> LLMRequest:
    values = {"input": text, "first": f"{text} So did my dignity.", "second": text, "overused": []}
    messages = task.render("critic", "compare", **values)
    return request(
        model="sim-critic", messages=messages, sampling=Sampling(temperature=0, max_tokens=2), top_logprobs=20
    )


def test_the_simulated_cast_is_an_endpoint_like_others(simulated: SimulatedCast, task: Task) -> None:
    reply = ask(compare(task), settings(simulated.base_url, model="sim-critic"))
    assert reply.text in {"1", "2"}
    assert (reply.model, reply.finish_reason, reply.retries) == ("sim-critic", "stop", 0)
    assert reply.usage.input > 50
    assert reply.usage.output == 1
    assert reply.token_logprobs is not None
    [label] = reply.token_logprobs
    assert {"1", "2"} < set(label.alternatives)
    assert 0.9 < sum(map(math.exp, label.alternatives.values())) <= 1 + 1e-9


def test_the_same_request_gets_the_same_reply(simulated: SimulatedCast, task: Task) -> None:
    theirs = settings(simulated.base_url, model="sim-critic")
    one, two = (ask(compare(task), theirs) for _ in range(2))
    assert one.model_copy(update={"latency_ms": 0, "raw": {}}) == two.model_copy(update={"latency_ms": 0, "raw": {}})


def test_a_troubled_cast_answers_everything_in_the_end(
    locked: SimulatedCast, task: Task, no_backoff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    requests = [compare(task, f"Bus number {number} left without me.") for number in range(20)]
    replies = ask_all(requests, settings(locked.base_url, model="sim-critic", max_retries=2))
    retries = [reply.retries for reply in replies if isinstance(reply, LLMReply)]
    assert len(retries) == 20
    assert sum(retries) > 5
    assert {reply.token_logprobs for reply in replies if isinstance(reply, LLMReply)} == {None}


def test_a_wrong_key_is_no_matter_for_retries(
    locked: SimulatedCast, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(EndpointLostError, match=r"after 1 attempt: .*Incorrect API key"):
        ask(compare(task), settings(locked.base_url, model="sim-critic", patience_s=0))


def test_a_call_is_asked_once(simulated: SimulatedCast, cast_log: Path, task: Task) -> None:
    def answered() -> int:
        return len(cast_log.read_text().splitlines()) if cast_log.exists() else 0

    before = answered()
    ask_all(
        [compare(task, f"Train {n} left without me.") for n in range(5)],
        settings(simulated.base_url, model="sim-critic"),
    )
    assert answered() - before == 5
