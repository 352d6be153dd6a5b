"""Scoring prompts on the legacy completions endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest

from openmic.simulator import rubric_for

from .conftest import Serve, score, score_body
from .test_app import BLAND, ESCAPED, GOOD, SENTENCE
from .test_verdicts import NOTICE, PLAIN, STIFF


def inside(answer: dict[str, Any]) -> float:
    """The mean log-probability of the tokens inside <text>, worked out from the text offsets."""
    prompt, logprobs = answer["choices"][0]["text"], answer["choices"][0]["logprobs"]
    start, end = prompt.index("<text>") + len("<text>"), prompt.index("</text>")
    rows = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["text_offset"], strict=True)
    values: list[float] = [logprob for token, logprob, offset in rows if offset >= start and offset + len(token) <= end]
    return sum(values) / len(values)


def test_shape_of_a_scored_prompt(serve: Serve) -> None:
    body = score_body(ESCAPED, GOOD, logprobs=3)
    answer = score(serve(), body)
    choice = answer["choices"][0]
    logprobs = choice["logprobs"]
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert choice["text"] == "".join(logprobs["tokens"]) == body["prompt"] + logprobs["tokens"][-1]
    assert [choice["text"][offset:].startswith(token) for token, offset in zip(
        logprobs["tokens"], logprobs["text_offset"], strict=True
    )] == [True] * len(logprobs["tokens"])  # fmt: skip
    assert len(set(map(len, logprobs.values()))) == 1
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    for token, logprob, top in zip(
        *(logprobs[name][1:] for name in ("tokens", "token_logprobs", "top_logprobs")), strict=True
    ):
        assert logprob <= 0
        assert top[token] == pytest.approx(logprob)
        assert len(top) == 3
    usage = answer["usage"]
    assert (usage["completion_tokens"], usage["prompt_tokens"]) == (1, len(logprobs["tokens"]) - 1)


def test_no_token_more_where_none_is_wanted(serve: Serve) -> None:
    body = score_body(ESCAPED, GOOD, max_tokens=0)
    assert score(serve(), body)["choices"][0]["text"] == body["prompt"]


@pytest.mark.parametrize("model", ["sim-critic", "sim-judge", "sim-critic-2"])
def test_the_mean_is_a_line_over_the_score(serve: Serve, model: str) -> None:
    rubric = rubric_for("humor", model)
    assert rubric is not None
    for text in (GOOD, BLAND, "Something else."):
        found = rubric.assess(SENTENCE, text.replace("&amp;", "&"))
        assert inside(score(serve(), score_body(ESCAPED, text, model=model))) == pytest.approx(-4 + 3 * found.score)


def test_tokens_of_the_text_vary_and_all_others_do_not(serve: Serve) -> None:
    logprobs = score(serve(), score_body(ESCAPED, GOOD))["choices"][0]["logprobs"]
    assert len({value for value in logprobs["token_logprobs"] if value != -2.0}) > 8
    assert set(score(serve(), score_body(ESCAPED, ""))["choices"][0]["logprobs"]["token_logprobs"]) == {None, -2.0}
    no_tags = score_body(ESCAPED, "", prompt="The bus left.")
    assert set(score(serve(), no_tags)["choices"][0]["logprobs"]["token_logprobs"]) == {None, -2.0}


def test_notices_are_scored_by_their_own_rubric(serve: Serve) -> None:
    plain, stiff = (inside(score(serve(), score_body(NOTICE, text, "notice"))) for text in (PLAIN, STIFF))
    assert plain > stiff + 0.3


def test_the_same_prompt_has_the_same_score(serve: Serve) -> None:
    assert score(serve(), score_body(ESCAPED, GOOD)) == score(serve(), score_body(ESCAPED, GOOD))


@pytest.mark.parametrize(
    "change",
    [
        {"echo": False},
        {"echo": None},
        {"max_tokens": 5},
        {"prompt": ["a"]},
        {"stream": True},
        {"logprobs": -1},
        {"n": 2},
    ],
)
def test_what_is_no_scoring_is_refused(serve: Serve, change: dict[str, Any]) -> None:
    error = score(serve(), score_body(ESCAPED, GOOD) | change, 400)["error"]
    assert error["message"]


def test_echo_must_be_asked_for(serve: Serve) -> None:
    body = score_body(ESCAPED, GOOD)
    del body["echo"]
    assert "echo" in score(serve(), body, 400)["error"]["message"]


def test_keys_models_faults_and_the_journal_are_those_of_chats(serve: Serve, tmp_path: Path) -> None:
    body = score_body(ESCAPED, GOOD)
    assert score(serve(api_key="sesame"), body, 401)["error"]["code"] == "invalid_api_key"
    assert score(serve(), {**body, "model": "gpt-9"}, 404)["error"]["code"] == "model_not_found"
    client = serve(log=tmp_path / "log.jsonl", faults={"429": 1.0})
    replies = [client.post("/v1/completions", json=body) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["status"]) for line in lines] == [("score", 429), ("score", 429), ("score", 200)]


def test_logprobs_are_given_where_they_are_asked_for_and_not_withheld(serve: Serve) -> None:
    body = score_body(ESCAPED, GOOD)
    assert score(serve(), {**body, "logprobs": None})["choices"][0]["logprobs"] is None
    assert score(serve(no_logprobs=True), body)["choices"][0]["logprobs"] is None
