import json
import math
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from openmic.core.ids import content_hash
from openmic.core.text import fold
from openmic.simulator.humor.profiles import RUBRICS
from openmic.simulator.skills import MODELS

from .conftest import Serve, ask, compare_body, critique_body, demonstrate_body, said

SENTENCE = "The neighbour borrowed our ladder & never brought it back."
ESCAPED = SENTENCE.replace("&", "&amp;")
GOOD = "The neighbour borrowed our ladder &amp; never brought it back, and the ladder has asked for a lawyer."
BLAND = "The neighbour borrowed our ladder &amp; never brought it back, more or less like that."


def label_p(answer: dict[str, Any]) -> float:
    """The probability of "1", summed over the variants of both labels."""
    mass: defaultdict[str, float] = defaultdict(float)
    for row in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        mass[row["token"].strip(" .")] += math.exp(row["logprob"])
    return mass["1"] / (mass["1"] + mass["2"])


def test_shape_of_a_reply(serve: Serve) -> None:
    answer = ask(serve(), demonstrate_body(ESCAPED, temperature=0.8, unknown_field={"x": 1}))
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "sim-teacher"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["choices"][0]["index"] == 0
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["choices"][0]["logprobs"] is None
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 10


def test_several_paraphrases_come_as_a_numbered_list(serve: Serve) -> None:
    lines = said(ask(serve(), demonstrate_body(ESCAPED, 3))).splitlines()
    assert [line[:3] for line in lines] == ["1. ", "2. ", "3. "]
    assert len({fold(line[3:]) for line in lines}) == 3


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_one_paraphrase_comes_alone_and_choices_differ(serve: Serve, quality: float) -> None:
    answer = ask(serve(quality=quality), demonstrate_body(ESCAPED, n=8))
    assert [choice["index"] for choice in answer["choices"]] == list(range(8))
    texts = [said(answer, index) for index in range(8)]
    assert len({fold(text) for text in texts}) == 8
    assert all(RUBRICS["sim-critic"].assess(SENTENCE, text).meets == bool(quality) for text in texts)


def test_a_teacher_without_tags_takes_the_whole_message(serve: Serve) -> None:
    body = {
        "model": "sim-teacher",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "The bus left."}]}],
    }
    assert "bus left" in said(ask(serve(quality=1.0), body))


def test_the_same_body_has_the_same_reply_in_any_order_and_server(serve: Serve) -> None:
    bodies = [demonstrate_body(f"The bus left {place}.", 2, seed=1) for place in ("Rome", "Paris", "Bonn")]
    one, two, other = serve(), serve(), serve(seed=5)
    forward = [ask(one, body)["choices"] for body in bodies]
    with ThreadPoolExecutor(3) as pool:
        backward = list(pool.map(lambda body: ask(two, body)["choices"], bodies[::-1]))
    assert forward == backward[::-1]
    assert forward != [ask(other, body)["choices"] for body in bodies]
    assert ask(one, bodies[0])["id"] == ask(two, bodies[0])["id"]
    assert ask(one, {**bodies[0], "seed": 2})["id"] != ask(one, bodies[0])["id"]


@pytest.mark.parametrize("model", MODELS)
def test_verdict_prefers_the_better_text_in_both_orders(serve: Serve, model: str) -> None:
    client = serve()
    forward = ask(client, compare_body(ESCAPED, GOOD, BLAND, model=model))
    backward = ask(client, compare_body(ESCAPED, BLAND, GOOD, model=model))
    assert (said(forward), said(backward)) == ("1", "2")
    assert label_p(forward) > 0.7
    assert label_p(forward) == pytest.approx(1 - label_p(backward))


def test_label_probabilities_lie_on_variants_and_fit_the_label(serve: Serve) -> None:
    client = serve()
    first = ask(client, compare_body(ESCAPED, GOOD, BLAND))["choices"][0]["logprobs"]["content"]
    assert len(first) == 1
    rows = {row["token"]: row["logprob"] for row in first[0]["top_logprobs"]}
    assert first[0]["logprob"] == rows["1"]
    assert {"1", "2", " 1", "1."} <= set(rows)
    assert 0.98 < sum(math.exp(p) for p in rows.values()) <= 1.0 + 1e-9
    assert list(rows.values()) == sorted(rows.values(), reverse=True)
    two = ask(client, compare_body(ESCAPED, GOOD, BLAND, top_logprobs=2))["choices"][0]["logprobs"]["content"][0]
    assert {row["token"] for row in two["top_logprobs"]} == {"1", "2"}


def test_one_failed_part_is_about_nine_to_one(serve: Serve) -> None:
    bland = GOOD.replace("and the ladder has asked for a lawyer", "and he said that he would be in touch")
    assert 0.85 < label_p(ask(serve(), compare_body(ESCAPED, GOOD, bland))) < 0.98


def test_heard_endings_turn_a_verdict(serve: Serve) -> None:
    client = serve()
    other = GOOD.replace("lawyer", "company car")
    assert 0.3 < label_p(ask(client, compare_body(ESCAPED, GOOD, other))) < 0.7
    assert label_p(ask(client, compare_body(ESCAPED, GOOD, other, heard="for a lawyer"))) < 0.25


def test_critique_as_json_names_what_is_missing(serve: Serve) -> None:
    client = serve()
    body = critique_body(ESCAPED, "The neighbour took it.", response_format={"type": "json_schema", "json_schema": {}})
    written = json.loads(said(ask(client, body)))
    assert list(written) == ["works", "missing", "suggestion"]
    assert "'ladder'" in written["missing"]
    assert "neighbour" in written["suggestion"]
    fine = json.loads(said(ask(client, critique_body(ESCAPED, GOOD))))
    assert fine["missing"].startswith("Nothing is missing")


def test_critique_as_text_has_three_lines(serve: Serve) -> None:
    text = said(ask(serve(), critique_body(ESCAPED, BLAND, response_format=None)))
    assert [line.partition(":")[0] for line in text.splitlines()] == ["Works", "Missing", "Suggestion"]


def test_a_critic_without_tags_says_that_it_needs_them(serve: Serve) -> None:
    body = {"model": "sim-judge", "messages": [{"role": "user", "content": "Which is better?"}]}
    assert "<first>" in said(ask(serve(), body))


def test_models_and_health(serve: Serve) -> None:
    client = serve()
    rows = client.get("/v1/models").json()["data"]
    assert [row["id"] for row in rows] == ["sim-teacher", "sim-critic", "sim-judge", "sim-critic-2", "sim-critic-3"]
    assert {row["owned_by"] for row in rows} == {"openmic-simulated"}
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"stream": True}, 400, "unsupported_value"),
        ({"messages": []}, 400, "invalid_value"),
        ({"temperature": "hot"}, 400, "invalid_value"),
        ({"n": 0}, 400, "invalid_value"),
    ],
)
def test_bad_requests_get_openai_style_errors(serve: Serve, change: dict[str, Any], status: int, code: str) -> None:
    error = ask(serve(), {**demonstrate_body("The bus left."), **change}, status)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b"\xff", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 99999]
)
def test_what_is_not_a_request_is_a_400(serve: Serve, content: Any) -> None:
    assert serve().post("/v1/chat/completions", content=content).status_code == 400


def test_a_limit_by_both_of_its_names_asks_for_the_same(serve: Serve) -> None:
    client, body = serve(), demonstrate_body(ESCAPED, max_completion_tokens=40)
    assert said(ask(client, {**body, "max_tokens": 40})) == said(ask(client, body))


def test_max_tokens_cuts(serve: Serve) -> None:
    answer = ask(serve(), demonstrate_body(ESCAPED, max_completion_tokens=4))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 4


def test_the_api_key_is_checked(serve: Serve) -> None:
    client = serve(api_key="sesame")
    assert ask(client, demonstrate_body("The bus left."), 401)["error"]["code"] == "invalid_api_key"
    reply = client.post(
        "/v1/chat/completions", json=demonstrate_body("The bus left."), headers={"Authorization": "Bearer sesame"}
    )
    assert reply.status_code == 200


def test_rate_limits_say_when_to_come_back_and_end(serve: Serve) -> None:
    client = serve(faults={"429_retry_after": 1.0}, retry_after_s=0.25)
    replies = [client.post("/v1/chat/completions", json=demonstrate_body("The bus left.")) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert replies[0].headers["retry-after"] == "0.25"
    assert replies[0].json()["error"]["code"] == "rate_limit_exceeded"


def test_server_errors_come_and_go(serve: Serve) -> None:
    client = serve(faults={"500": 1.0})
    statuses = [client.post("/v1/chat/completions", json=demonstrate_body("Hm.")).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]


def test_refusals(serve: Serve) -> None:
    client = serve(faults={"refusal": 1.0})
    for body in (demonstrate_body("The bus left."), compare_body("a", "b", "c"), critique_body("a", "b")):
        assert said(ask(client, {**body, "max_tokens": 50})) == "I'm sorry, but I can't help with that."


def test_broken_json_is_broken_only_where_json_was_asked_for(serve: Serve) -> None:
    client = serve(faults={"broken_json": 1.0})
    with pytest.raises(json.JSONDecodeError):
        json.loads(said(ask(client, critique_body("The bus left.", "The bus left."))))
    assert said(ask(client, critique_body("The bus left.", "x", response_format=None))).startswith("Works:")


def test_biases_and_flips(serve: Serve) -> None:
    forward, backward = compare_body(ESCAPED, GOOD, BLAND), compare_body(ESCAPED, BLAND, GOOD)
    first = serve(prefer_first=1.0)
    assert [said(ask(first, body)) for body in (forward, backward)] == ["1", "1"]
    flipped = serve(flip_rate=1.0)
    assert [said(ask(flipped, body)) for body in (forward, backward)] == ["2", "1"]
    assert label_p(ask(flipped, forward)) == pytest.approx(1 - label_p(ask(serve(), forward)))
    long = compare_body(ESCAPED, GOOD, GOOD + " and so on and so forth")
    assert label_p(ask(serve(prefer_long=30.0), long)) < 0.5 < label_p(ask(serve(prefer_long=-30.0), long))


def test_prefer_first_is_a_rate(serve: Serve) -> None:
    client = serve(prefer_first=0.3)
    labels = [said(ask(client, compare_body(ESCAPED, BLAND, GOOD, seed=seed))) for seed in range(200)]
    assert 0.2 < labels.count("1") / 200 < 0.4


def test_logprobs_can_be_withheld(serve: Serve) -> None:
    answer = ask(serve(no_logprobs=True), compare_body(ESCAPED, GOOD, BLAND, temperature=0))
    assert answer["choices"][0]["logprobs"] is None
    assert said(answer) == "1"


def test_every_request_is_logged_with_its_status(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = serve(log=log, faults={"500": 1.0})
    bodies = [demonstrate_body("The bus left."), compare_body("a", "b", "c"), critique_body("a", "b")]
    for body in bodies:
        for status in (500, 500, 200):
            ask(client, body, status)
    ask(client, {**bodies[0], "model": "gpt-9"}, 404)
    client.post("/v1/chat/completions", content=b"{")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [500, 500, 200] * 3 + [404, 400]
    answered = [line for line in lines if line["status"] == 200]
    assert [line["kind"] for line in answered] == ["demonstrate", "compare", "critique"]
    assert [line["model"] for line in answered] == ["sim-teacher", "sim-critic", "sim-critic"]
    assert [line["request_hash"] for line in answered] == [content_hash(body) for body in bodies]
    assert all(abs(line["time"] - time.time()) < 60 for line in lines)


def test_an_answer_that_nobody_waited_for_is_not_logged_as_answered(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = serve(log=log, latency_s=0.4)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=demonstrate_body("The bus left."), timeout=0.1)
    deadline = time.monotonic() + 5
    while not log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert json.loads(log.read_text())["status"] == 499


def test_latency(serve: Serve) -> None:
    client = serve(latency_s=0.3)
    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: ask(client, demonstrate_body("The bus left.", seed=seed)), range(4)))
    assert 0.3 <= time.monotonic() - start < 1.1  # they wait side by side
