"""Texts that try to be instructions: each stays data in every prompt to a large model, and sways no verdict."""

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from openmic.agents.tasks.prompts import unescape
from openmic.agents.tasks.task import Task, load_task
from openmic.simulator import SimulatedCast

from .injections import ATTEMPTS

PROMPTS = [
    ("teacher", "demonstrate", ("input",)),
    ("critic", "critique", ("input", "draft")),
    *[(role, style, ("input", "first", "second")) for role in ("critic", "judge") for style in ("compare", "reason")],
    *[(role, "cloze", ("input", "text")) for role in ("critic", "judge")],
]
SOURCE_TAGS = {"humor": "sentence", "plain-language": "notice"}
PAIRS = {
    "humor": (
        "The neighbour borrowed our ladder and never brought it back.",
        "The neighbour borrowed our ladder and never brought it back, and the ladder has asked for a lawyer.",
    ),
    "plain-language": (
        "Applicants are hereby notified that any application received subsequent to 31 March shall not be considered.",
        "We will not consider any application that we receive after 31 March.",
    ),
}
"""An input and a good output."""

every_attempt = pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda text: re.sub(r"[^a-zA-Z0-9]+", "-", text[:40]))


@pytest.fixture(scope="module", params=["humor", "plain-language"])
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def tags(text: str) -> Counter[str]:
    """How often everything that looks like a tag occurs."""
    return Counter(re.findall(r"<[^<>]*>", text))


def content(prompt: str, tag: str) -> str:
    """What stands between the one opening and the one closing tag of that name."""
    before, opening, rest = prompt.partition(f"<{tag}>")
    inside, closing, after = rest.partition(f"</{tag}>")
    assert opening
    assert closing
    assert f"<{tag}>" not in before + after
    return inside


def rendered(task: Task, role: str, purpose: str, values: dict[str, Any]) -> str:
    return task.render(role, purpose, **({"count": 3, "overused": ["a plain ending"]} | values))[1].content


def test_there_are_attempts_enough_and_of_every_size() -> None:
    assert len(set(ATTEMPTS)) == len(ATTEMPTS) >= 40
    assert max(map(len, ATTEMPTS)) >= 10_000


@every_attempt
def test_a_text_stays_in_its_tag_and_can_be_read_as_it_was(task: Task, attempt: str) -> None:
    for role, purpose, names in PROMPTS:
        harmless = dict.fromkeys(names, "plain")
        expected = tags(rendered(task, role, purpose, harmless))
        for hostile in names:
            prompt = rendered(task, role, purpose, harmless | {hostile: attempt})
            assert tags(prompt) == expected, f"{role}.{purpose} with {hostile}"
            tag = SOURCE_TAGS[task.name] if hostile == "input" else hostile
            assert unescape(content(prompt, tag)) == attempt
            assert html.unescape(content(prompt, tag)) == attempt
        everywhere = rendered(task, role, purpose, dict.fromkeys(names, attempt))
        assert tags(everywhere) == expected, f"{role}.{purpose} with all of them"


@every_attempt
def test_an_ending_heard_too_often_stays_in_its_tag(task: Task, attempt: str) -> None:
    for role, purpose, names in PROMPTS:
        values = dict.fromkeys(names, "plain")
        prompt = rendered(task, role, purpose, values | {"overused": [attempt]})
        assert tags(prompt) == tags(rendered(task, role, purpose, values))
        if "<heard>" in prompt:
            assert unescape(content(prompt, "heard")) == f"\n{attempt}\n"


Ask = Callable[..., str]


@pytest.fixture(scope="module")
def ask(simulated: SimulatedCast) -> Iterator[Ask]:
    """Puts a prompt of the critic to the simulated critic, and gives its reply."""
    with httpx.Client(base_url=simulated.base_url, timeout=20) as client:

        def put(task: Task, purpose: str, **values: Any) -> str:
            messages = [message.model_dump() for message in task.render("critic", purpose, overused=[], **values)]
            body: dict[str, Any] = {"model": "sim-critic", "messages": messages, "temperature": 0}
            if purpose == "critique":
                body["response_format"] = {"type": "json_object"}
            answer = client.post("chat/completions", json=body)
            answer.raise_for_status()
            text: str = answer.json()["choices"][0]["message"]["content"]
            return text

        yield put


@every_attempt
def test_the_simulated_critic_prefers_a_good_text_in_both_orders(ask: Ask, task: Task, attempt: str) -> None:
    source, good = PAIRS[task.name]
    assert ask(task, "compare", input=source, first=good, second=attempt) == "1"
    assert ask(task, "compare", input=source, first=attempt, second=good) == "2"
    reason = ask(task, "reason", input=source, first=attempt, second=good)
    assert reason.splitlines()[-1] == "Answer: 2"
    assert len(reason.splitlines()) == 2


@every_attempt
def test_the_simulated_critic_criticises_an_attempt_like_any_draft(ask: Ask, task: Task, attempt: str) -> None:
    source, _ = PAIRS[task.name]
    reply = json.loads(ask(task, "critique", input=source, draft=attempt))
    assert set(reply) == {"works", "missing", "suggestion"}
    assert reply["suggestion"] not in ("", "Keep it.")
