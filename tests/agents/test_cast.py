import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from openmic.agents.cast import Critic, Judge, StudentAgent, Teacher
from openmic.agents.openai_client import OpenAIClient
from openmic.agents.simulated import SimulatedCast
from openmic.agents.task import Task
from openmic.core.config import EndpointSettings
from openmic.core.errors import ReplyError
from openmic.core.ids import derive_seed
from openmic.core.records import LLMReply, LLMRequest, Sampling

from .scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion

T = TypeVar("T")
TEXT = "The bus left without me."
GOOD = "The bus left without me, like a celebrity avoiding an autograph."


class Watched:
    """A client that remembers what it was asked, with the endpoint behind it."""

    def __init__(self, client: OpenAIClient) -> None:
        self.client, self.requests = client, list[LLMRequest]()

    async def complete(self, request: LLMRequest) -> LLMReply:
        self.requests.append(request)
        return await self.client.complete(request)


def with_client(url: str, model: str, work: Callable[[Watched], Awaitable[T]]) -> tuple[T, list[LLMRequest]]:
    async def run() -> tuple[T, list[LLMRequest]]:
        client = OpenAIClient(EndpointSettings(model=model, base_url=url, max_retries=0, timeout_s=20))
        watched = Watched(client)
        try:
            return await work(watched), watched.requests
        finally:
            await client.close()

    return asyncio.run(run())


def says(endpoint: ScriptedEndpoint, text: str, **choice: Any) -> str:
    endpoint.chat = lambda asked, number: Answer(body=completion(text, **choice))
    return endpoint.base_url


# The teacher


def test_the_teacher_writes_as_many_as_it_is_asked_for(simulated: SimulatedCast, task: Task) -> None:
    demonstrations, requests = with_client(
        simulated.base_url, "sim-teacher", lambda llm: Teacher(task, llm, "sim-teacher", 7).demonstrate(TEXT, 5)
    )
    assert len(demonstrations.texts) == len(set(demonstrations.texts)) == 5
    assert all(task.clean(text) == text for text in demonstrations.texts)
    assert len(requests) == 1
    assert demonstrations.exchange.request is requests[0]
    assert demonstrations.exchange.template == task.template("teacher", "demonstrate")
    assert requests[0].sampling == task.file.sampling.teacher
    assert (requests[0].top_logprobs, requests[0].json_schema) == (None, None)


def test_one_demonstration_is_the_whole_reply(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, '"The bus left. I stayed."\n\nEnjoy!')
    demonstrations, _ = with_client(url, "m", lambda llm: Teacher(task, llm, "m", 7).demonstrate(TEXT, 1))
    assert demonstrations.texts == ("The bus left. I stayed.",)


@pytest.mark.parametrize("count", [1, 3])
def test_a_teacher_that_declines_demonstrates_nothing(endpoint: ScriptedEndpoint, task: Task, count: int) -> None:
    url = says(endpoint, "I'm sorry, but I can't help with that.")
    demonstrations, _ = with_client(url, "m", lambda llm: Teacher(task, llm, "m", 7).demonstrate(TEXT, count))
    assert demonstrations.texts == ()
    assert demonstrations.exchange.reply.text.startswith("I'm sorry")


def test_what_the_teacher_says_twice_counts_once(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, "1. The bus left me.\n2. The bus left me.\n3. I can't help you.\n4. The bus moved on.")
    demonstrations, _ = with_client(url, "m", lambda llm: Teacher(task, llm, "m", 7).demonstrate(TEXT, 4))
    assert demonstrations.texts == ("The bus left me.", "The bus moved on.")


def test_the_teacher_hears_what_was_heard_too_often(simulated: SimulatedCast, task: Task) -> None:
    _, requests = with_client(
        simulated.base_url,
        "sim-teacher",
        lambda llm: Teacher(task, llm, "sim-teacher", 7).demonstrate(TEXT, 2, heard=["sends its regards"]),
    )
    assert "<heard>\nsends its regards\n</heard>" in requests[0].messages[1].content


# Requests


def demonstrate_requests(url: str, task: Task, seed: int, *ordinals: int) -> list[LLMRequest]:
    async def work(llm: Watched) -> None:
        for ordinal in ordinals:
            await Teacher(task, llm, "sim-teacher", seed).demonstrate(TEXT, 2, ordinal=ordinal)

    return with_client(url, "sim-teacher", work)[1]


def test_the_same_question_has_the_same_key_in_every_run(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, "1. a b c\n2. d e f")
    assert demonstrate_requests(url, task, 7, 0)[0].key == demonstrate_requests(url, task, 7, 0)[0].key


def test_another_seed_or_ordinal_is_another_question(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, "1. a b c\n2. d e f")
    requests = demonstrate_requests(url, task, 7, 0, 1) + demonstrate_requests(url, task, 8, 0)
    assert len({request.key for request in requests}) == 3
    assert len({request.seed for request in requests}) == 3
    assert requests[0].seed == derive_seed(7, "teacher", "demonstrate", 0)
    assert endpoint.bodies[0]["seed"] == requests[0].seed


def test_asking_again_on_purpose_gets_another_reply(simulated: SimulatedCast, task: Task) -> None:
    async def work(llm: Watched) -> list[tuple[str, ...]]:
        teacher = Teacher(task, llm, "sim-teacher", 7)
        return [(await teacher.demonstrate(TEXT, 4, ordinal=ordinal)).texts for ordinal in (0, 0, 1)]

    (first, again, other), _ = with_client(simulated.base_url, "sim-teacher", work)
    assert first == again
    assert first != other


# The critic and the judge


@pytest.mark.parametrize(("kind", "model"), [(Critic, "sim-critic"), (Judge, "sim-judge")])
def test_a_comparison_is_asked_in_both_orders(
    simulated: SimulatedCast, task: Task, kind: type[Critic] | type[Judge], model: str
) -> None:
    verdict, requests = with_client(
        simulated.base_url, model, lambda llm: kind(task, llm, model, 7).compare(TEXT, GOOD, TEXT, tie_margin=0.05)
    )
    assert len(requests) == 2
    forward, reverse = (request.messages[1].content for request in requests)
    assert f"<first>{GOOD}</first>\n<second>{TEXT}</second>" in forward
    assert f"<first>{TEXT}</first>\n<second>{GOOD}</second>" in reverse
    assert verdict.forward.request.messages[1].content == forward
    assert verdict.reverse.request.messages[1].content == reverse
    assert {(request.role, request.top_logprobs, request.sampling.temperature) for request in requests} == {
        (kind.role, 20, 0.0)
    }
    assert (verdict.outcome, verdict.consistent, verdict.method) == ("win", True, "logprobs")
    assert verdict.p_first > 0.8


def test_exchanging_the_texts_asks_the_same_two_questions(simulated: SimulatedCast, task: Task) -> None:
    async def work(llm: Watched) -> None:
        critic = Critic(task, llm, "sim-critic", 7)
        assert (await critic.compare(TEXT, GOOD, TEXT, tie_margin=0.05)).outcome == "win"
        assert (await critic.compare(TEXT, TEXT, GOOD, tie_margin=0.05)).outcome == "loss"

    _, requests = with_client(simulated.base_url, "sim-critic", work)
    keys = [request.key for request in requests]
    assert keys[:2] == [keys[3], keys[2]]
    assert keys[0] != keys[1]


def test_a_critic_and_a_judge_of_one_model_are_asked_different_questions(simulated: SimulatedCast, task: Task) -> None:
    async def work(llm: Watched) -> None:
        for agent in (Critic(task, llm, "sim-judge", 7), Judge(task, llm, "sim-judge", 7)):
            await agent.compare(TEXT, GOOD, TEXT, tie_margin=0.05)

    _, requests = with_client(simulated.base_url, "sim-judge", work)
    assert len({request.key for request in requests}) == 4


def test_a_judge_that_always_takes_the_first_finds_ties_alone(endpoint: ScriptedEndpoint, task: Task) -> None:
    alternatives = [{"token": token, "logprob": p, "bytes": None} for token, p in (("1", -0.05), ("2", -3.0))]
    content = [{**alternatives[0], "top_logprobs": alternatives}]
    url = says(endpoint, "1", logprobs={"content": content, "refusal": None})
    verdict, _ = with_client(url, "m", lambda llm: Judge(task, llm, "m", 7).compare(TEXT, "a", "b", tie_margin=0.05))
    assert (verdict.outcome, verdict.consistent) == ("tie", False)
    assert verdict.p_first == pytest.approx(0.5)


def test_an_endpoint_without_log_probabilities_still_compares(
    locked: SimulatedCast, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")

    async def run() -> tuple[str, str]:
        client = OpenAIClient(EndpointSettings(model="sim-critic", base_url=locked.base_url))
        try:
            verdict = await Critic(task, client, "sim-critic", 7).compare(TEXT, GOOD, TEXT, tie_margin=0.05)
        finally:
            await client.close()
        return verdict.outcome, verdict.method

    assert asyncio.run(run()) == ("win", "text")


def test_a_verdict_that_cannot_be_read_fails_this_comparison_alone(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, "Both are lovely.")
    with pytest.raises(ReplyError, match="Both are lovely"):
        with_client(url, "m", lambda llm: Judge(task, llm, "m", 7).compare(TEXT, "a", "b", tie_margin=0.05))


def test_a_critique_says_what_is_missing(simulated: SimulatedCast, task: Task) -> None:
    (exchange, critique), requests = with_client(
        simulated.base_url,
        "sim-critic",
        lambda llm: Critic(task, llm, "sim-critic", 7).criticise(TEXT, "The bus left. Without me."),
    )
    assert critique.parsed
    assert critique.missing
    assert critique.suggestion
    assert exchange.template == task.template("critic", "critique")
    assert requests[0].json_schema is not None
    assert requests[0].json_schema["required"] == ["works", "missing", "suggestion"]


def test_a_critique_is_had_from_an_endpoint_that_knows_no_schemas(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "response_format" in asked.body:
            return Answer(400, {"error": {"message": "response_format is not supported", "type": "bad"}})
        return Answer(body=completion('```json\n{"suggestion": "Let the bus speak."}\n```'))

    endpoint.chat = script
    (_, critique), _ = with_client(endpoint.base_url, "m", lambda llm: Critic(task, llm, "m", 7).criticise(TEXT, "x"))
    assert (critique.suggestion, critique.parsed) == ("Let the bus speak.", True)


# The student

SAMPLING = Sampling(max_tokens=9)


def test_a_drafts_seed_follows_from_its_id(task: Task) -> None:
    student = StudentAgent(task, 7)
    drafts = [student.draft(id_, TEXT, SAMPLING, 2) for id_ in ("a", "b")]
    assert drafts[0] == StudentAgent(task, 7).draft("a", TEXT, SAMPLING, 2)
    assert len({draft.seed for draft in drafts} | {StudentAgent(task, 8).draft("a", TEXT, SAMPLING, 2).seed}) == 3
    assert (drafts[0].id, drafts[0].adapter, drafts[0].sampling) == ("a", 2, SAMPLING)


def test_the_student_is_asked_the_same_in_training_as_in_use(task: Task) -> None:
    student = StudentAgent(task, 7)
    assert student.draft("a", TEXT, SAMPLING, None).messages == student.prompt(TEXT)
    assert student.prompt(TEXT) == task.render("student", "draft", input=TEXT)


def test_a_revision_continues_the_conversation(task: Task) -> None:
    student = StudentAgent(task, 7)
    revision = student.revise("r", TEXT, "The bus left.", "Use <the bus>.", SAMPLING, 1)
    assert [message.role for message in revision.messages] == ["system", "user", "assistant", "user"]
    assert revision.messages[:2] == student.prompt(TEXT)
    assert revision.messages[2].content == "The bus left."
    assert "Use <the bus>." in revision.messages[3].content
    assert revision.seed == derive_seed(7, "r")
    assert student.template("revise").text == task.file.student.revise
