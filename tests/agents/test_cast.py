from collections.abc import Callable
from typing import Any

import pytest

from openmic.agents.cast import EndpointCritiques, EndpointTeacher, StudentAgent
from openmic.agents.critique import REMINDER, Critique
from openmic.agents.llm import Exchange
from openmic.agents.tasks.task import Task
from openmic.core.config import SamplingOverrides
from openmic.core.dialogue_settings import VerdictSettings
from openmic.core.ids import derive_seed
from openmic.core.records import LLMRequest, StudentSampling
from openmic.simulator import SimulatedCast

from .critics import endpoint_critic
from .exchanges import asked
from .scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion
from .watched import TEXT, Watched, says, with_client

# The teacher


def test_the_teacher_writes_as_many_as_it_is_asked_for(simulated: SimulatedCast, task: Task) -> None:
    demonstrations, requests = with_client(
        simulated.base_url, "sim-teacher", lambda llm: EndpointTeacher(task, llm, "sim-teacher", 7).demonstrate(TEXT, 5)
    )
    # One of them is a story.
    assert [output.problem for output in demonstrations.turned_away] == ["over-long"]
    assert len(demonstrations.texts) == len(set(demonstrations.texts)) == 4
    assert all(task.clean(text) == text for text in demonstrations.texts)
    assert len(requests) == 1
    assert asked(demonstrations.origin).request is requests[0]
    assert asked(demonstrations.origin).template == task.template("teacher", "demonstrate")
    assert requests[0].sampling == task.file.sampling.teacher
    assert (requests[0].top_logprobs, requests[0].json_schema) == (None, None)


def test_one_demonstration_is_the_whole_reply(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, '"The bus left. I stayed."\n\nEnjoy!')
    demonstrations, _ = with_client(url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 1))
    assert demonstrations.texts == ("The bus left. I stayed.",)


def test_a_teacher_that_wrote_no_answer_is_asked_again(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = in_turn(TEXT, "The bus left me for a tram.")
    shown, _ = with_client(
        endpoint.base_url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 1, ordinal=2)
    )
    assert (shown.texts, shown.turned_away) == (("The bus left me for a tram.",), ())
    assert [earlier.turned_away for earlier in shown.earlier] == [((TEXT, "copy of the input"),)]


def test_a_teacher_samples_as_its_own_settings_say_and_else_as_the_task(endpoint: ScriptedEndpoint, task: Task) -> None:
    endpoint.chat = in_turn("The bus left", "The bus left me", "The bus", finish_reason="length")
    sampling = SamplingOverrides(temperature=0.3, max_tokens=90)
    _, requests = with_client(
        endpoint.base_url,
        "m",
        lambda llm: EndpointTeacher(task, llm, "m", 7, sampling=sampling).demonstrate(TEXT, 1),
    )
    first, again = (request.sampling for request in requests[:2])
    assert first == task.file.sampling.teacher.model_copy(update={"temperature": 0.3, "max_tokens": 90})
    assert again == first.model_copy(update={"max_tokens": 360})  # more room, on top of its own


def test_a_critic_samples_critiques_as_its_own_settings_say(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, '{"suggestion": "Be brief."}')
    _, requests = with_client(
        url,
        "m",
        lambda llm: EndpointCritiques(task, llm, "m", 7, sampling=SamplingOverrides(top_p=0.5)).criticise(TEXT, "a"),
    )
    assert [request.sampling for request in requests] == [task.file.sampling.critique.model_copy(update={"top_p": 0.5})]


@pytest.mark.parametrize(("nothing", "reason"), [("", "stop"), ("", "length"), ("```\n```", "stop"), (" \n", "stop")])
def test_a_teacher_that_wrote_nothing_at_all_did_not_refuse_and_is_asked_again(
    endpoint: ScriptedEndpoint, task: Task, nothing: str, reason: str
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        # Other seeds than the first: a reply without a word is asked for again with more room by the client, too.
        again = asked.body["seed"] != endpoint.bodies[0]["seed"]
        return Answer(
            body=completion("The bus left me for a tram.") if again else completion(nothing, finish_reason=reason)
        )

    endpoint.chat = script
    shown, requests = with_client(
        endpoint.base_url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 1)
    )
    assert (shown.texts, shown.refused, len(requests)) == (("The bus left me for a tram.",), False, 2)
    assert [earlier.refused for earlier in shown.earlier] == [False]


@pytest.mark.parametrize("count", [1, 3])
def test_a_teacher_that_declines_demonstrates_nothing(endpoint: ScriptedEndpoint, task: Task, count: int) -> None:
    url = says(endpoint, "I'm sorry, but I can't help with that.")
    demonstrations, _ = with_client(url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, count))
    assert demonstrations.texts == ()
    assert demonstrations.refused
    assert asked(demonstrations.origin).reply.text.startswith("I'm sorry")


def test_a_refusal_in_a_field_of_its_own_is_one_however_it_is_worded(endpoint: ScriptedEndpoint, task: Task) -> None:
    body = completion(None, message={"role": "assistant", "content": None, "refusal": "Nothing here for me."})
    endpoint.chat = lambda asked, number: Answer(body=body)
    shown, requests = with_client(
        endpoint.base_url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 3)
    )
    assert (shown.texts, shown.turned_away) == ((), (("Nothing here for me.", "refusal"),))
    assert (shown.refused, len(requests)) == (True, 1)


def test_what_the_teacher_says_twice_counts_once(endpoint: ScriptedEndpoint, task: Task) -> None:
    url = says(endpoint, "1. The bus left me.\n2. The bus left me.\n3. I can't help you.\n4. The bus moved on.")
    demonstrations, _ = with_client(url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 4))
    assert demonstrations.texts == ("The bus left me.", "The bus moved on.")
    assert demonstrations.turned_away == (("The bus left me.", "duplicate"), ("I can't help you.", "refusal"))


def test_a_teachers_thought_is_no_demonstration(endpoint: ScriptedEndpoint, task: Task) -> None:
    thought = "Okay, the user wants jokes.\n1. Make the bus a person.\n2. Make the bus leave me for another."
    url = says(endpoint, f"{thought}\n</think>\n\n1. The bus left me.\n2. The bus moved on.")
    shown, _ = with_client(url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, 2))
    assert shown.texts == ("The bus left me.", "The bus moved on.")
    assert asked(shown.origin).reply.thought == thought


@pytest.mark.parametrize("count", [1, 3])
def test_a_reply_that_was_cut_off_before_any_answer_is_given_more_room(
    endpoint: ScriptedEndpoint, task: Task, count: int
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return Answer(body=completion("Sure! Here it is:\n\nThe bus left me for a", finish_reason="length"))

    endpoint.chat = script
    shown, requests = with_client(
        endpoint.base_url, "m", lambda llm: EndpointTeacher(task, llm, "m", 7).demonstrate(TEXT, count)
    )
    most = task.file.sampling.teacher.max_tokens
    assert [request.sampling.max_tokens for request in requests] == [most, 4 * most, 4 * most]
    assert len({request.seed for request in requests}) == 3
    assert [earlier.turned_away for earlier in shown.earlier] == [shown.turned_away] * 2
    assert shown.texts == ()
    assert shown.turned_away == (("Sure! Here it is:", "preamble"), ("The bus left me for a", "cut off"))
    assert "1 preamble, 1 cut off" in shown.reason


def test_the_teacher_hears_what_was_heard_too_often(simulated: SimulatedCast, task: Task) -> None:
    _, requests = with_client(
        simulated.base_url,
        "sim-teacher",
        lambda llm: EndpointTeacher(task, llm, "sim-teacher", 7).demonstrate(TEXT, 2, overused=["sends its regards"]),
    )
    assert "<heard>\nsends its regards\n</heard>" in requests[0].messages[1].content


# Requests


def demonstrate_requests(url: str, task: Task, seed: int, *ordinals: int) -> list[LLMRequest]:
    async def work(llm: Watched) -> None:
        for ordinal in ordinals:
            await EndpointTeacher(task, llm, "sim-teacher", seed).demonstrate(TEXT, 2, ordinal=ordinal)

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
        teacher = EndpointTeacher(task, llm, "sim-teacher", 7)
        return [(await teacher.demonstrate(TEXT, 4, ordinal=ordinal)).texts for ordinal in (0, 0, 1)]

    (first, again, other), _ = with_client(simulated.base_url, "sim-teacher", work)
    assert first == again
    assert first != other


# The critic's critiques


def test_a_critique_says_what_is_missing(simulated: SimulatedCast, task: Task) -> None:
    (origin, critique), requests = with_client(
        simulated.base_url,
        "sim-critic",
        lambda llm: endpoint_critic(task, llm, ["sim-critic"], 7, VerdictSettings()).criticise(
            TEXT, "The bus left. Without me."
        ),
    )
    assert critique.parsed
    assert critique.missing
    assert critique.suggestion
    assert asked(origin).template == task.template("critic", "critique")
    assert requests[0].json_schema is not None
    assert requests[0].json_schema["required"] == ["works", "missing", "suggestion"]


def test_a_critique_is_had_from_an_endpoint_that_knows_no_schemas(endpoint: ScriptedEndpoint, task: Task) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "response_format" in asked.body:
            return Answer(400, {"error": {"message": "response_format is not supported", "type": "bad"}})
        return Answer(body=completion('```json\n{"suggestion": "Let the bus speak."}\n```'))

    endpoint.chat = script
    (_, critique), _ = with_client(
        endpoint.base_url, "m", lambda llm: endpoint_critic(task, llm, ["m"], 7, VerdictSettings()).criticise(TEXT, "x")
    )
    assert (critique.suggestion, critique.parsed) == ("Let the bus speak.", True)


def criticise(
    endpoint: ScriptedEndpoint, task: Task, script: Callable[[Asked, int], Answer]
) -> tuple[tuple[Exchange, Critique], list[LLMRequest]]:
    endpoint.chat = script
    (origin, critique), requests = with_client(
        endpoint.base_url,
        "m",
        lambda llm: endpoint_critic(task, llm, ["m", "juror"], 7, VerdictSettings()).criticise(TEXT, "x"),
    )
    return (asked(origin), critique), requests


def in_turn(*replies: str, **choice: Any) -> Callable[[Asked, int], Answer]:
    return lambda asked, number: Answer(body=completion(replies[number], **choice))


def test_a_critique_without_a_suggestion_is_asked_for_again_once(endpoint: ScriptedEndpoint, task: Task) -> None:
    (exchange, critique), requests = criticise(endpoint, task, in_turn('{"works": "a', '{"suggestion": "Be brief."}'))
    assert (critique.suggestion, critique.parsed) == ("Be brief.", True)
    assert exchange.request == requests[1]
    assert [request.ordinal for request in requests] == [0, 1]
    first, again = (request.messages[-1].content for request in requests)
    assert again == f"{first}\n\n{REMINDER}"
    assert {(request.member, request.model) for request in requests} == {(0, "m")}


def test_a_critique_that_was_cut_off_is_given_more_room(endpoint: ScriptedEndpoint, task: Task) -> None:
    _, requests = criticise(endpoint, task, in_turn('{"works": "a', "{", finish_reason="length"))
    room = task.file.sampling.critique.max_tokens
    assert [request.sampling.max_tokens for request in requests] == [room, 2 * room]


def test_a_suggestion_that_was_cut_off_is_asked_for_again(endpoint: ScriptedEndpoint, task: Task) -> None:
    cut, whole = '{"suggestion": "Let the', '{"suggestion": "Let the bus speak."}'

    def script(asked: Asked, number: int) -> Answer:
        return Answer(body=completion(whole if number else cut, finish_reason="stop" if number else "length"))

    assert criticise(endpoint, task, script)[0][1].suggestion == "Let the bus speak."


@pytest.mark.parametrize(
    ("replies", "kept", "of"),
    [
        (("Let the bus speak.", "Let the bus answer."), Critique("", "", "Let the bus speak.", parsed=False), 0),
        (('{"missing": "A joke.", "su', ""), Critique("", "A joke.", "", parsed=False), 0),
        (("{", "Just be brief."), Critique("", "", "Just be brief.", parsed=False), 1),
        (("I'm sorry, but I can't help with that.", "{}"), Critique("", "", "", parsed=False), 0),
    ],
)
def test_of_two_replies_that_miss_the_form_the_one_that_says_more_is_kept(
    endpoint: ScriptedEndpoint, task: Task, replies: tuple[str, str], kept: Critique, of: int
) -> None:
    (exchange, critique), requests = criticise(endpoint, task, in_turn(*replies))
    assert critique == kept
    assert len(requests) == 2
    assert exchange.request == requests[of]


# The student

SAMPLING = StudentSampling(max_tokens=9)


def test_a_drafts_seed_follows_from_its_id(task: Task) -> None:
    student = StudentAgent(task, 7)
    drafts = [student.draft(id_, TEXT, SAMPLING, 2) for id_ in ("a", "b")]
    assert drafts[0] == StudentAgent(task, 7).draft("a", TEXT, SAMPLING, 2)
    assert len({draft.seed for draft in drafts} | {StudentAgent(task, 8).draft("a", TEXT, SAMPLING, 2).seed}) == 3
    assert (drafts[0].id, drafts[0].adapter, drafts[0].sampling) == ("a", 2, SAMPLING)


def test_the_student_is_asked_the_same_in_training_as_in_use(task: Task) -> None:
    student = StudentAgent(task, 7)
    assert student.draft("a", TEXT, SAMPLING, 0).messages == student.prompt(TEXT)
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
