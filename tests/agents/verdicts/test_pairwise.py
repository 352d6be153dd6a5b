"""Comparisons over real HTTP: what is asked in each style, and what becomes of the replies."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openmic.agents.tasks.task import Task
from openmic.agents.verdicts.verdict import Verdict
from openmic.core.dialogue_settings import VerdictSettings
from openmic.core.errors import EndpointError, ReplyError
from openmic.core.records import LLMRequest, Role
from openmic.simulator import SimulatedCast

from ..critics import endpoint_critic, endpoint_jury
from ..exchanges import asked
from ..scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure
from ..watched import GOOD, TEXT, Watched, says, with_client

ALWAYS_FIRST = [{"token": token, "logprob": p, "bytes": None} for token, p in (("1", -0.05), ("2", -3.0))]


def compare(
    url: str, task: Task, *, first: str = "a", second: str = "b", jurors: int = 0, **settings: Any
) -> tuple[Verdict, list[LLMRequest]]:
    models = ["m", *(f"m{place}" for place in range(1, jurors + 1))]

    def work(llm: Watched) -> Awaitable[Verdict]:
        return endpoint_critic(task, llm, models, 7, VerdictSettings(**settings)).compare(TEXT, first, second)

    return with_client(url, "m", work)


def shown_first(asked: Asked, text: str = "<first>a</first>") -> bool:
    return text in asked.body["messages"][-1]["content"]


def answers(reply: Callable[[Asked], str]) -> Callable[[Asked, int], Answer]:
    return lambda asked, number: Answer(body=completion(reply(asked)))


# A label first


def test_a_comparison_has_the_room_that_its_settings_give(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return Answer(body=completion("1" if number % 2 else "who knows"))

    endpoint.chat = script
    _, requests = compare(endpoint.base_url, task, samples=1, max_tokens=2000)
    assert {request.sampling.max_tokens for request in requests} == {2000}
    endpoint.chat = script
    _, requests = compare(endpoint.base_url, task, samples=1, max_tokens=40)
    assert {request.sampling.max_tokens for request in requests} == {40, 1024}  # again, with room


@pytest.mark.parametrize("role", ["critic", "judge"])
def test_a_comparison_is_asked_in_both_orders(simulated: SimulatedCast, task: Task, role: Role) -> None:
    model = f"sim-{role}"

    def work(llm: Watched) -> Awaitable[Verdict]:
        return endpoint_jury(task, llm, role, [model], 7, VerdictSettings()).compare(TEXT, GOOD, TEXT)

    verdict, requests = with_client(simulated.base_url, model, work)
    assert len(requests) == 2
    forward, reverse = (request.messages[1].content for request in requests)
    assert f"<first>{GOOD}</first>\n<second>{TEXT}</second>" in forward
    assert f"<first>{TEXT}</first>\n<second>{GOOD}</second>" in reverse
    assert [asked(ballot.origin).request.messages[1].content for ballot in verdict.ballots] == [forward, reverse]
    assert {(request.role, request.top_logprobs, request.sampling.max_tokens) for request in requests} == {
        (role, 20, 2)
    }
    assert (verdict.outcome, verdict.consistent, verdict.method) == ("win", True, "logprobs")
    assert verdict.p_first > 0.8


def test_exchanging_the_texts_asks_the_same_two_questions(simulated: SimulatedCast, task: Task) -> None:
    async def work(llm: Watched) -> None:
        critic = endpoint_critic(task, llm, ["sim-critic"], 7, VerdictSettings())
        assert (await critic.compare(TEXT, GOOD, TEXT)).outcome == "win"
        assert (await critic.compare(TEXT, TEXT, GOOD)).outcome == "loss"

    _, requests = with_client(simulated.base_url, "sim-critic", work)
    keys = [request.key for request in requests]
    assert keys[:2] == [keys[3], keys[2]]
    assert keys[0] != keys[1]


def test_a_critic_and_a_judge_of_one_model_are_asked_different_questions(simulated: SimulatedCast, task: Task) -> None:
    async def work(llm: Watched) -> None:
        settings = VerdictSettings()
        roles: tuple[Role, ...] = ("critic", "judge")
        for role in roles:
            agent = endpoint_jury(task, llm, role, ["sim-judge"], 7, settings)
            await agent.compare(TEXT, GOOD, TEXT)

    _, requests = with_client(simulated.base_url, "sim-judge", work)
    assert len({request.key for request in requests}) == 4


def test_a_judge_that_always_takes_the_first_finds_ties_alone(endpoint: ScriptedEndpoint, task: Task) -> None:
    content = [{**ALWAYS_FIRST[0], "top_logprobs": ALWAYS_FIRST}]
    verdict, _ = compare(says(endpoint, "1", logprobs={"content": content, "refusal": None}), task)
    assert (verdict.outcome, verdict.consistent) == ("tie", False)
    assert verdict.p_first == pytest.approx(0.5)


def test_the_tie_margin_is_the_settings(endpoint: ScriptedEndpoint, task: Task) -> None:
    near = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in (("1", 0.56), ("2", 0.44))]
    far = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in (("1", 0.44), ("2", 0.56))]

    def script(asked: Asked, number: int) -> Answer:
        odds = near if shown_first(asked) else far
        return Answer(body=completion("1", logprobs={"content": [{**odds[0], "top_logprobs": odds}]}))

    endpoint.chat = script
    assert compare(endpoint.base_url, task, tie_margin=0.05)[0].outcome == "win"
    assert compare(endpoint.base_url, task, tie_margin=0.1)[0].outcome == "tie"


# Sampled labels


def test_without_log_probabilities_labels_are_sampled(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = answers(lambda asked: "1" if shown_first(asked) or asked.body["seed"] % 2 else "2")
    verdict, requests = compare(endpoint.base_url, task, samples=5)
    assert (verdict.method, verdict.p_forward, len(verdict.ballots), len(requests)) == ("sampled", 1.0, 10, 10)
    seeds = [asked(ballot.origin).request.seed for ballot in verdict.ballots if not ballot.forward]
    assert len(set(seeds)) == 5
    assert verdict.p_reverse == pytest.approx(sum(1 - seed % 2 for seed in seeds) / 5)
    assert 0 < verdict.p_reverse < 1
    assert [request.ordinal for request in requests] == [0, 0, *[1, 2, 3, 4] * 2]
    assert {request.sampling.temperature for request in requests} == {1.0}
    assert [request.top_logprobs for request in requests] == [20, 20, *[None] * 8]


def test_one_sample_is_the_likeliest_label(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = answers(lambda asked: "1" if shown_first(asked) else "2")
    verdict, requests = compare(endpoint.base_url, task, samples=1)
    assert (verdict.method, verdict.outcome, len(requests)) == ("text", "win", 2)
    assert {request.sampling.temperature for request in requests} == {0.0}


def test_where_one_order_has_log_probabilities_only_the_other_is_sampled(
    endpoint: ScriptedEndpoint, task: Task
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if shown_first(asked):
            content = [{**ALWAYS_FIRST[0], "top_logprobs": ALWAYS_FIRST}]
            return Answer(body=completion("1", logprobs={"content": content}))
        return Answer(body=completion("2"))

    endpoint.chat = script
    verdict, _ = compare(endpoint.base_url, task, samples=3)
    assert [ballot.method for ballot in verdict.ballots] == ["logprobs", "sampled", "sampled", "sampled"]
    assert (verdict.method, verdict.outcome) == ("sampled", "win")


def test_what_is_asked_is_a_function_of_earlier_replies(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = answers(lambda asked: "perhaps" if asked.body["max_completion_tokens"] == 2 else "1")
    keys = [sorted(request.key for request in compare(endpoint.base_url, task)[1]) for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == len(keys[0]) == 20


# A critic that wants to say something else


def test_where_labels_have_little_of_the_mass_words_are_read_and_it_is_known(
    endpoint: ScriptedEndpoint, task: Task
) -> None:
    odds = [
        {"token": token, "logprob": math.log(p), "bytes": None}
        for token, p in (("The", 0.95), ("1", 0.03), ("A", 0.01))
    ]

    def script(asked: Asked, number: int) -> Answer:
        text = "1" if shown_first(asked) else "2"
        content = [{**odds[0], "top_logprobs": odds}] if asked.body.get("logprobs") else None
        return Answer(body=completion(text, logprobs={"content": content}))

    endpoint.chat = script
    verdict, requests = compare(endpoint.base_url, task, samples=3)
    assert (verdict.method, verdict.outcome, len(requests)) == ("sampled", "win", 6)
    assert not verdict.answered
    assert [ballot.answered for ballot in verdict.ballots] == [False, True, True] * 2
    assert verdict.ballots[0].label_mass == pytest.approx(0.03)
    verdict, _ = compare(endpoint.base_url, task, samples=3, min_label_mass=0.0)
    assert (verdict.method, verdict.answered) == ("logprobs", True)
    assert verdict.p_forward == pytest.approx(0.75)


def test_where_no_words_name_a_label_either_next_to_nothing_is_next_to_a_tie(
    endpoint: ScriptedEndpoint, task: Task
) -> None:
    chances = (("The", 0.9), ("1", 0.06), ("2", 0.01))
    odds = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in chances]

    def script(asked: Asked, number: int) -> Answer:
        return Answer(body=completion("The bus is", logprobs={"content": [{**odds[0], "top_logprobs": odds}]}))

    endpoint.chat = script
    verdict, requests = compare(endpoint.base_url, task)
    assert len(requests) == 6
    assert (verdict.outcome, verdict.answered) == ("tie", False)
    assert verdict.p_forward == pytest.approx(0.06 + 0.93 / 2)
    assert verdict.ballots[0].label_mass == pytest.approx(0.07)


def test_a_thought_that_names_the_other_label_is_not_read(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        other, label = ("2", "1") if shown_first(asked) else ("1", "2")
        text = f"Text {other} has the better twist. Answer: {other}\n</think>\n\n{label}"
        tokens = ["Text", f" {other}", " has the better twist. Answer:", f" {other}", "\n", "</think>", "\n\n", label]
        content = [{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]
        return Answer(body=completion(text, logprobs={"content": content}))

    endpoint.chat = script
    verdict, _ = compare(endpoint.base_url, task)
    assert (verdict.outcome, verdict.method) == ("win", "logprobs")
    assert verdict.p_forward == verdict.p_reverse == pytest.approx(math.exp(-0.1))


def test_a_cut_off_reason_is_asked_for_again(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if asked.body["max_completion_tokens"] == 300:
            return Answer(body=completion("The text ends in\nAnswer: 1", finish_reason="length"))
        return Answer(body=completion(f"It is long.\nAnswer: {1 if shown_first(asked) else 2}"))

    endpoint.chat = script
    assert compare(endpoint.base_url, task, style="reason", samples=1)[0].outcome == "win"


# Replies that cannot be read


@pytest.mark.parametrize("text", ["Both are lovely.", "I'm sorry, but I can't help you choose.", ""])
def test_a_verdict_that_cannot_be_read_is_asked_for_again_and_then_fails(
    endpoint: ScriptedEndpoint, task: Task, text: str
) -> None:
    endpoint.chat = answers(lambda asked: text if shown_first(asked) else "1")
    with pytest.raises(ReplyError, match=f"{text[:10]}.*['\"]$"):
        compare(endpoint.base_url, task)
    forward = [asked.body for asked in endpoint.asked if shown_first(asked)]
    assert [body["max_completion_tokens"] for body in forward] == [2, 1024, 1024]
    assert len({body["seed"] for body in forward}) == 3


def test_a_model_that_thinks_aloud_first_is_given_room(endpoint: ScriptedEndpoint, task: Task) -> None:
    def thought(asked: Asked) -> str:
        label = "1" if shown_first(asked) else "2"
        return "<think>The" if asked.body["max_completion_tokens"] == 2 else f"<think>Hm, 1 or 2?</think>\n{label}"

    endpoint.chat = answers(thought)
    verdict, _ = compare(endpoint.base_url, task, samples=1)
    assert (verdict.outcome, verdict.method) == ("win", "text")


def test_a_refusal_with_log_probabilities_is_no_verdict(endpoint: ScriptedEndpoint, task: Task) -> None:
    content = [{**ALWAYS_FIRST[0], "top_logprobs": ALWAYS_FIRST}]
    refusal = "I'm sorry, but I can't help with that."
    with pytest.raises(ReplyError, match="the critic declines to compare: \"I'm sorry"):
        compare(says(endpoint, refusal, logprobs={"content": content}), task)


# A reason first


def test_a_reason_before_the_label(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        odds = (
            ALWAYS_FIRST
            if shown_first(asked)
            else [{**ALWAYS_FIRST[0], "token": "2"}, {**ALWAYS_FIRST[1], "token": "1"}]
        )
        said = ["It", " has", " 2", " turns", ".\n", "Answer", ":", " "]
        content: list[dict[str, Any]] = [
            {"token": token, "logprob": 0.0, "bytes": None, "top_logprobs": []} for token in said
        ]
        content.append({**odds[0], "top_logprobs": odds})
        return Answer(body=completion("".join([*said, str(odds[0]["token"])]), logprobs={"content": content}))

    endpoint.chat = script
    verdict, requests = compare(endpoint.base_url, task, style="reason")
    assert (verdict.outcome, verdict.method, len(requests)) == ("win", "logprobs", 2)
    odds = math.exp(-0.05) / (math.exp(-0.05) + math.exp(-3))
    assert (verdict.p_forward, verdict.p_reverse) == (pytest.approx(odds), pytest.approx(odds))
    assert {request.sampling.max_tokens for request in requests} == {300}
    assert all("Answer: 1" in request.messages[1].content for request in requests)
    assert asked(verdict.ballots[0].origin).template == task.template("critic", "reason")


def test_reasons_without_log_probabilities_are_sampled(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = answers(lambda asked: f"2 is long.\nAnswer: {1 if shown_first(asked) else 2}")
    verdict, requests = compare(endpoint.base_url, task, style="reason", samples=3)
    assert (verdict.outcome, verdict.method, verdict.p_first, len(requests)) == ("win", "sampled", 1.0, 6)


# Cloze


def scored(asked: Asked, score: float) -> dict[str, Any]:
    """What a server sends that echoes its prompt with log-probabilities, of `score` for each word of the text."""
    prompt: str = asked.body["prompt"]
    head, text = prompt.rsplit("<text>", 1)
    inner, tail = text.split("</text>", 1)
    words = inner.split(" ")
    tokens = [head, "<text>", words[0], *(f" {word}" for word in words[1:]), "</text>", tail, " and"]
    logprobs = [None, -5.0, *[score] * len(words), -5.0, -5.0, -1.0]
    choice = {
        "index": 0,
        "text": prompt + " and",
        "finish_reason": "length",
        "logprobs": {"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": None, "text_offset": []},
    }
    usage = {"prompt_tokens": len(tokens) - 1, "completion_tokens": 1, "total_tokens": len(tokens)}
    return {
        "id": "c",
        "object": "text_completion",
        "created": 0,
        "model": "m-2026",
        "choices": [choice],
        "usage": usage,
    }


def test_cloze_compares_how_likely_each_text_is(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = lambda asked, number: Answer(
        body=scored(asked, -2.0 if "<text>good one</text>" in asked.body["prompt"] else -2.25)
    )
    verdict, requests = compare(endpoint.base_url, task, first="good one", second="bad one", style="cloze")
    assert [asked.path for asked in endpoint.asked] == ["/v1/completions"] * 2
    assert verdict.p_forward == verdict.p_reverse == pytest.approx(1 / (1 + math.exp(-2)))
    assert (verdict.outcome, verdict.consistent, verdict.method) == ("win", True, "cloze")
    assert [request.score_prompt for request in requests] == [True, True]
    assert [(b.forward, "good one" in asked(b.origin).request.messages[-1].content) for b in verdict.ballots] == [
        (True, True),
        (False, False),
    ]


def test_cloze_at_an_endpoint_without_completions_says_what_to_do(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = lambda asked, number: failure(404, "no such route")
    with pytest.raises(EndpointError, match=r"cloze verdicts need .*set verdict\.style to label or reason"):
        compare(endpoint.base_url, task, style="cloze")


# A jury


def test_every_member_of_a_jury_is_asked_and_kept(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = answers(lambda asked: "1" if shown_first(asked) else "2")
    verdict, requests = compare(endpoint.base_url, task, jurors=2, samples=1)
    assert sorted((request.member, request.model) for request in requests) == [
        (member, model) for member, model in enumerate(("m", "m1", "m2")) for _ in range(2)
    ]
    assert len({request.key for request in requests}) == 6
    assert len({request.seed for request in requests}) == 3
    assert [opinion.outcome for opinion in verdict.opinions] == ["win"] * 3
    assert [ballot.member for ballot in verdict.ballots] == [0, 0, 1, 1, 2, 2]


def test_the_jurys_rule_is_the_settings(endpoint: ScriptedEndpoint, task: Task) -> None:
    """The first member is sure that `a` is better, the others are sure that it is worse, but less so."""

    def script(asked: Asked, number: int) -> Answer:
        p = 0.999 if shown_first(asked) else 0.001
        if asked.body["seed"] != first_seed:
            p = 0.4 if shown_first(asked) else 0.6
        odds = [{"token": token, "logprob": math.log(q), "bytes": None} for token, q in (("1", p), ("2", 1 - p))]
        return Answer(body=completion("1", logprobs={"content": [{**odds[0], "top_logprobs": odds}]}))

    first_seed = compare(says(endpoint, "1"), task, samples=1)[1][0].seed
    endpoint.chat = script
    assert compare(endpoint.base_url, task, jurors=2, jury="mean")[0].outcome == "win"
    assert compare(endpoint.base_url, task, jurors=2, jury="majority")[0].outcome == "loss"
