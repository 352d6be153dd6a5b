"""Scoring a prompt by the older completions endpoint."""

from typing import Any

import pytest

from openmic.core.errors import EndpointError, EndpointLostError
from openmic.core.records import TokenLogprob, TokenUsage

from ..factories import ask, request, settings
from ..scripted_endpoint import Answer, ScriptedEndpoint, failure

PROMPT = "Be brief.\nHello there."


def echo(**choice: Any) -> dict[str, Any]:
    logprobs = {
        "tokens": ["Be brief.\n", "Hello", " there.", " Hi"],
        "token_logprobs": [None, -1.5, -2.5, -0.5],
        "top_logprobs": [None, {"Hello": -1.5}, {}, {}],
        "text_offset": [0, 10, 15, 22],
    }
    only = {"index": 0, "text": f"{PROMPT} Hi", "finish_reason": "length", "logprobs": logprobs} | choice
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {"id": "c", "object": "text_completion", "created": 0, "model": "m-1", "choices": [only], "usage": usage}


def test_the_prompts_own_tokens_come_back_and_the_one_that_had_to_be_written_does_not(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.chat = lambda asked, number: Answer(body=echo())
    reply = ask(request(score_prompt=True), settings(endpoint.base_url))
    [asked] = endpoint.asked
    assert asked.path == "/v1/completions"
    assert asked.body["prompt"] == PROMPT
    assert (asked.body["echo"], asked.body["model"], asked.body["max_tokens"]) == (True, "m", 1)
    assert asked.body["logprobs"] >= 1
    assert reply.prompt_logprobs == (
        TokenLogprob(token="Be brief.\n", logprob=None),
        TokenLogprob(token="Hello", logprob=-1.5),
        TokenLogprob(token=" there.", logprob=-2.5),
    )
    assert (reply.text, reply.model, reply.token_logprobs) == ("", "m-1", None)
    assert reply.usage == TokenUsage(input=3, output=1)


def test_without_a_count_all_tokens_are_the_prompts(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(body=echo() | {"usage": None})
    reply = ask(request(score_prompt=True), settings(endpoint.base_url))
    assert reply.prompt_logprobs is not None
    assert len(reply.prompt_logprobs) == 4


NOT_SCORED = [
    failure(400, "echo is not supported"),
    failure(404, "no such route"),
    failure(501, "not implemented"),
    Answer(body=echo(logprobs=None)),
    Answer(body=echo(logprobs={"tokens": [" Hi"], "token_logprobs": [-0.5]})),
]


@pytest.mark.parametrize("answer", NOT_SCORED, ids=lambda answer: f"{answer.status} {str(answer.body)[:30]}")
def test_an_endpoint_that_cannot_score_says_so_at_once(endpoint: ScriptedEndpoint, answer: Answer) -> None:
    endpoint.chat = lambda asked, number: answer
    with pytest.raises(EndpointError, match=r"does not score prompts with model 'm'; cloze .* set verdict\.style to"):
        ask(request(score_prompt=True), settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "mishap", [failure(503, "overloaded"), failure(429, "slow down"), Answer(close=True), Answer(body={"choices": []})]
)
def test_what_may_pass_is_tried_again(endpoint: ScriptedEndpoint, no_backoff: None, mishap: Answer) -> None:
    good = Answer(body=echo())
    endpoint.chat = lambda asked, number: mishap if number < 2 else good
    assert ask(request(score_prompt=True), settings(endpoint.base_url, max_retries=2)).retries == 2


def test_a_wrong_key_is_told_as_such(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(401, "Incorrect API key")
    with pytest.raises(EndpointLostError, match="Incorrect API key") as caught:
        ask(request(score_prompt=True), settings(endpoint.base_url, patience_s=0))
    assert "cloze" not in str(caught.value)
