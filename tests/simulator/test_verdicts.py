"""The ways of asking for a verdict: the label first, a reason first, and labels that are drawn."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Serve, ask, compare_body, reason_body, said
from .test_app import BLAND, ESCAPED, GOOD, label_p

NOTICE = "Applicants are required to submit the form prior to 3 May."
PLAIN, STIFF = "You must send in the form before 3 May.", "Applicants are required to remit the form prior to 3 May."


def as_notice(body: dict[str, Any]) -> dict[str, Any]:
    content = body["messages"][0]["content"].replace("sentence>", "notice>")
    return {**body, "messages": [{"role": "user", "content": content}]}


def label_row(answer: dict[str, Any]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = answer["choices"][0]["logprobs"]["content"]
    assert [row["token"] for row in rows[-3:-1]] == ["\nAnswer", ":"]
    return rows[-1]


def test_a_reason_comes_first_where_it_is_asked_for(serve: Serve) -> None:
    answer = ask(serve(), reason_body(ESCAPED, GOOD, BLAND))
    assert said(answer) == "The first text has the stronger comic idea.\nAnswer: 1"
    assert said(ask(serve(), reason_body(ESCAPED, BLAND, GOOD))).endswith("comic idea.\nAnswer: 2")
    assert "second text uses plainer words.\nAnswer: 2" in said(
        ask(serve(), as_notice(reason_body(NOTICE, STIFF, PLAIN)))
    )


def test_the_label_after_a_reason_carries_the_same_probability(serve: Serve) -> None:
    client = serve()
    answer = ask(client, reason_body(ESCAPED, GOOD, BLAND))
    row = label_row(answer)
    top = {other["token"]: math.exp(other["logprob"]) for other in row["top_logprobs"]}
    assert row["token"] == " 1"
    assert top[" 1"] == pytest.approx(math.exp(row["logprob"]))
    p = top[" 1"] / (top[" 1"] + top[" 2"])
    assert p == pytest.approx(label_p(ask(client, compare_body(ESCAPED, GOOD, BLAND))))


def test_every_token_of_a_reason_has_alternatives(serve: Serve) -> None:
    rows = ask(serve(), reason_body(ESCAPED, GOOD, BLAND, top_logprobs=5))["choices"][0]["logprobs"]["content"]
    assert "".join(row["token"] for row in rows).endswith("\nAnswer: 1")
    for row in rows:
        logprobs = [other["logprob"] for other in row["top_logprobs"]]
        assert len(logprobs) == 5
        assert logprobs == sorted(logprobs, reverse=True)
        assert sum(map(math.exp, logprobs)) <= 1 + 1e-9
        assert row["token"] in {other["token"] for other in row["top_logprobs"]}


def test_a_reason_can_be_cut_before_its_label(serve: Serve) -> None:
    answer = ask(serve(), reason_body(ESCAPED, GOOD, BLAND, max_tokens=4))
    assert said(answer) == "The first text has"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert len(answer["choices"][0]["logprobs"]["content"]) == 4


def test_a_flipped_verdict_has_a_reason_that_fits_its_label(serve: Serve) -> None:
    flipped = said(ask(serve(flip_rate=1.0), reason_body(ESCAPED, GOOD, BLAND)))
    assert flipped.startswith("The second text")
    assert flipped.endswith("Answer: 2")


def test_what_a_text_says_does_not_change_the_way_of_answering(serve: Serve) -> None:
    assert said(ask(serve(), compare_body(ESCAPED, GOOD, f"{BLAND} Answer: 1 or Answer: 2"))) == "1"


@pytest.mark.parametrize("body_of", [compare_body, reason_body])
@pytest.mark.parametrize(("withheld", "asked"), [(True, {}), (False, {"logprobs": None, "top_logprobs": None})])
def test_without_logprobs_labels_are_drawn_by_their_probability(
    serve: Serve, body_of: Callable[..., dict[str, Any]], withheld: dict[str, Any], asked: dict[str, Any]
) -> None:
    other = GOOD.replace("lawyer", "company car")
    rows = label_row(ask(serve(), reason_body(ESCAPED, GOOD, other)))["top_logprobs"]
    mass = {row["token"]: math.exp(row["logprob"]) for row in rows}
    p = mass[" 1"] / (mass[" 1"] + mass[" 2"])
    assert 0.3 < p < 0.7
    client = serve(no_logprobs=withheld)
    labels = [
        said(ask(client, body_of(ESCAPED, GOOD, other, temperature=0.7, seed=seed, **asked)))[-1] for seed in range(150)
    ]
    assert abs(labels.count("1") / 150 - p) < 0.13
    assert labels[0] == said(ask(client, body_of(ESCAPED, GOOD, other, temperature=0.7, seed=0, **asked)))[-1]


def test_a_label_is_not_drawn_at_temperature_zero_or_with_logprobs(serve: Serve) -> None:
    other = GOOD.replace("lawyer", "company car")
    cold = {
        said(ask(serve(no_logprobs=True), compare_body(ESCAPED, GOOD, other, temperature=0, seed=s))) for s in range(20)
    }
    warm = {said(ask(serve(), compare_body(ESCAPED, GOOD, other, temperature=1, seed=s))) for s in range(20)}
    assert len(cold) == len(warm) == 1


def test_choices_are_drawn_apart(serve: Serve) -> None:
    other = GOOD.replace("lawyer", "company car")
    answer = ask(serve(no_logprobs=True), compare_body(ESCAPED, GOOD, other, temperature=1, n=60))
    labels = [said(answer, index) for index in range(60)]
    assert 10 < labels.count("1") < 50


def test_a_jury_is_of_several_minds(serve: Serve) -> None:
    client, other = serve(), GOOD.replace("lawyer", "company car")
    jury = [label_p(ask(client, compare_body(ESCAPED, GOOD, other, model=f"sim-critic{n}"))) for n in ("", "-2", "-3")]
    assert len({round(p, 3) for p in jury}) == 3
