"""What endpoints refuse, as real ones do, and that they are asked all the same."""

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from openmic.agents.endpoints.options import RequestOptions, folded
from openmic.core.errors import EndpointError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling

from ..factories import SCHEMA, ask, ask_all, ask_in_turn, request, settings
from ..scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure

REFUSALS = [
    ("logprobs", "This model does not support logprobs.", {"logprobs", "top_logprobs"}),
    ("top_logprobs", "Unknown parameter: 'top_logprobs'.", {"top_logprobs", "logprobs"}),
    ("response_format", "'response_format' of type 'json_schema' is not supported.", {"response_format"}),
    ("seed", "Unrecognized request argument supplied: seed", {"seed"}),
    ("temperature", "Unsupported value: 'temperature' does not support 0.5 with this model.", {"temperature"}),
    ("top_p", "Unsupported parameter: 'top_p' is not supported with this model.", {"top_p"}),
    ("top_p", "invalid top_p: only 0.95 is allowed for this model", {"top_p"}),
    ("top_p", "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.", {"top_p"}),
    ("temperature", "`temperature` may only be set to 1 when thinking is enabled.", {"temperature"}),
    ("response_format", "Failed to generate JSON. Please adjust your prompt.", {"response_format"}),
]


@pytest.mark.parametrize(("refused", "message", "left_out"), REFUSALS)
def test_what_an_endpoint_refuses_is_done_without_from_then_on(
    endpoint: ScriptedEndpoint, refused: str, message: str, left_out: set[str]
) -> None:
    endpoint.chat = lambda asked, number: failure(400, message) if refused in asked.body else Answer(body=completion())
    replies = ask_in_turn([request(top_logprobs=5, json_schema=SCHEMA)] * 2, settings(endpoint.base_url))
    assert [(reply.text, reply.token_logprobs) for reply in replies] == [("fine", None)] * 2
    assert replies[0].raw["left_out"] == replies[1].raw["left_out"] == [refused]
    sent = [{name for name, value in body.items() if value is not None} for body in endpoint.bodies]
    assert len(sent) == 3
    assert sent[0] - sent[1] == left_out
    assert sent[1] == sent[2]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_knows_the_limit_by_its_older_name_is_told_by_that(
    endpoint: ScriptedEndpoint, status: int
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "max_completion_tokens" in asked.body:
            return failure(status, "Extra inputs are not permitted: max_completion_tokens")
        return Answer(body=completion())

    endpoint.chat = script
    replies = ask_all([request(json_schema=SCHEMA)], settings(endpoint.base_url))
    assert [reply.text if isinstance(reply, LLMReply) else reply for reply in replies] == ["fine"]
    assert endpoint.bodies[1]["max_tokens"] == 12
    assert "response_format" in endpoint.bodies[1]


def test_what_the_refusal_names_as_its_parameter_goes_before_its_words(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "top_p" not in asked.body:
            return Answer(body=completion())
        message = "This value is not supported; set temperature or top_p, but not seed."
        return Answer(400, {"error": {"message": message, "type": "bad", "param": "top_p", "code": None}})

    endpoint.chat = script
    assert ask(request(), settings(endpoint.base_url)).raw["left_out"] == ["top_p"]


@pytest.mark.parametrize(
    "message",
    [
        "max_completion_tokens is too large: 12. This is not supported: at most 8.",
        "temperature must be between 0 and 0.4",
        "This model's maximum context length is 8 tokens; reduce max_completion_tokens",
    ],
)
def test_a_value_out_of_range_is_an_error_and_not_left_out(endpoint: ScriptedEndpoint, message: str) -> None:
    endpoint.chat = lambda asked, number: failure(400, message)
    with pytest.raises(EndpointError, match="after 1 attempt"):
        ask(request(), settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


def test_calls_in_flight_together_all_learn_what_is_refused(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if "logprobs" not in asked.body:
            return Answer(body=completion())
        refusal = failure(400, "logprobs are not supported")
        return Answer(refusal.status, refusal.body, delay_s=0.1 + 0.1 * number)

    endpoint.chat = script
    replies = ask_all([request(str(n), top_logprobs=5) for n in range(4)], settings(endpoint.base_url))
    assert [reply.text if isinstance(reply, LLMReply) else reply for reply in replies] == ["fine"] * 4


def test_an_endpoint_that_refuses_everything_is_not_asked_for_ever(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(400, "no logprobs, top_logprobs, response_format, seed, nothing")
    with pytest.raises(EndpointError, match="nothing"):
        ask(request(top_logprobs=5, json_schema=SCHEMA), settings(endpoint.base_url))
    assert 2 <= len(endpoint.asked) <= 10


def twice(endpoint: ScriptedEndpoint, asked: LLMRequest, **more: Any) -> tuple[list[LLMReply], int]:
    """The replies to a request that is made twice, and how many requests the second took."""
    begun: list[int] = []

    def again() -> Iterator[LLMRequest]:
        for _ in range(2):
            begun.append(len(endpoint.asked))
            yield asked

    replies = ask_in_turn(again(), settings(endpoint.base_url, **more))
    return replies, len(endpoint.asked) - begun[1]


def refusing(name: str, answer: Answer, *, beyond: float = -1) -> Any:
    """A script that refuses an option, or values of it beyond a bound."""

    def script(asked: Asked, number: int) -> Answer:
        value = asked.body.get(name)
        return Answer(body=completion()) if value is None or (beyond >= 0 and value <= beyond) else answer

    return script


UNSUPPORTED = "unsupported_value"


def pydantic(name: str, words: str, kind: str) -> Answer:
    return Answer(422, {"detail": [{"type": kind, "loc": ["body", name], "msg": words, "input": {"seed": 1}}]})


def azure(message: str, parameter: str | None, code: str | None) -> Answer:
    return Answer(400, {"error": {"message": message, "type": "bad", "param": parameter, "code": code}})


@pytest.mark.parametrize(
    ("answer", "most", "requests"),
    [
        (azure("top_logprobs: at most 5", "top_logprobs", None), 5, 2),
        (azure("Invalid 'top_logprobs': must be between 0 and 8", "top_logprobs", "x"), 8, 2),
        (pydantic("top_logprobs", "Input should be less than or equal to 5", "less_than_equal"), 5, 2),
        (failure(400, "Requested sample logprobs of 20, which is greater than max allowed: 5"), 5, 2),
        (failure(400, "top_logprobs is out of range"), 2, 4),
        (failure(400, "Invalid value for top_logprobs"), 5, 3),
    ],
)
def test_as_many_alternatives_are_asked_for_as_an_endpoint_allows(
    endpoint: ScriptedEndpoint, answer: Answer, most: int, requests: int
) -> None:
    endpoint.chat = refusing("top_logprobs", answer, beyond=most)
    _, again = twice(endpoint, request(top_logprobs=20))
    assert endpoint.bodies[-1]["top_logprobs"] == most
    assert endpoint.bodies[-1]["logprobs"]
    assert (len(endpoint.asked) - again, again) == (requests, 1)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("top_logprobs", pydantic("logprobs", "Extra inputs are not permitted", "extra_forbidden")),
        ("logprobs", failure(400, "property 'logprobs' is unsupported")),
        ("temperature", azure("temperature: this model takes its default of 1 alone", "temperature", UNSUPPORTED)),
        ("temperature", failure(400, "Unsupported value: 'temperature' does not support 0.5 with this model.")),
        ("top_p", failure(400, "`temperature` and `top_p` cannot both be specified. Please use only one.")),
        ("top_p", azure("top_p: not known to this model", "top_p", "unsupported_parameter")),
        ("seed", pydantic("seed", "Extra inputs are not permitted", "extra_forbidden")),
        ("response_format", failure(400, "This model does not support structured outputs")),
        ("response_format", failure(400, "json_schema: 'additionalProperties' is required to be false")),
        ("reasoning_effort", failure(400, "Unrecognized request argument supplied: reasoning_effort")),
        ("max_tokens", failure(400, "'max_tokens' is not supported: use 'max_completion_tokens' instead.")),
        ("max_tokens", failure(400, "max_tokens and max_completion_tokens cannot both be set")),
        ("max_completion_tokens", pydantic("max_completion_tokens", "Extra inputs are not permitted", "extra")),
        # Some say nothing of what it is about.
        ("seed", failure(400, "Request contains an invalid argument.")),
        ("top_logprobs", failure(400, "Bad Request")),
        ("response_format", Answer(400, b"", {"content-type": "text/plain"})),
        ("temperature", failure(422, "Unprocessable")),
        ("max_tokens", failure(400, "invalid request")),
    ],
    ids=lambda part: part if isinstance(part, str) else str(part.body)[:60],
)  # fmt: skip
def test_what_a_model_refuses_is_left_out_and_nothing_else(
    endpoint: ScriptedEndpoint, name: str, answer: Answer
) -> None:
    endpoint.chat = refusing(name, answer)
    replies, again = twice(endpoint, request(top_logprobs=5, json_schema=SCHEMA), reasoning_effort="low")
    assert [reply.text for reply in replies] == ["fine"] * 2
    assert again == 1
    left = endpoint.bodies[0].keys() - endpoint.bodies[-1].keys()
    assert left == ({"logprobs", "top_logprobs"} if "logprobs" in name else {name})
    assert endpoint.bodies[-1].get("max_tokens", endpoint.bodies[-1].get("max_completion_tokens")) == 12


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "This model does not support system messages",
        "system messages are not supported by this model",
    ],
)
def test_a_system_message_goes_into_the_users_turn_where_it_is_refused(endpoint: ScriptedEndpoint, words: str) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return failure(400, words) if asked.body["messages"][0]["role"] == "system" else Answer(body=completion())

    endpoint.chat = script
    replies, again = twice(endpoint, request(top_logprobs=5))
    assert (again, len(endpoint.asked)) == (1, 3)
    assert endpoint.bodies[-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nHello there."}]
    assert endpoint.bodies[-1]["top_logprobs"] == 5
    assert replies[0].raw["left_out"] == ["system messages"]


def test_a_system_message_alone_becomes_the_users() -> None:
    assert folded([Message(role="system", content="a")]) == (Message(role="user", content="a"),)
    user = Message(role="user", content="a")
    assert folded([user]) == (user,)


@pytest.mark.parametrize(
    ("words", "cap", "requests"),
    [
        ("The message could not be finished within max_tokens.", 700, 4),
        ("Could not finish the message because max_tokens was reached. Try again with higher max_tokens.", 700, 4),
        ("Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 16.", 16, 2),
    ],
)  # fmt: skip
def test_a_cap_that_is_too_small_for_a_model_is_raised_from_then_on(
    endpoint: ScriptedEndpoint, words: str, cap: int, requests: int
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return Answer(body=completion()) if asked.body["max_completion_tokens"] >= cap else failure(400, words)

    endpoint.chat = script
    _, again = twice(endpoint, request())
    assert (len(endpoint.asked) - again, again) == (requests, 1)


def test_refusals_without_a_word_end_where_nothing_is_left_to_leave_out(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(400, "not today")
    with pytest.raises(EndpointError, match="not today"):
        ask(request(top_logprobs=5, json_schema=SCHEMA), settings(endpoint.base_url))
    assert len(endpoint.bodies) < 12


def test_many_calls_that_are_refused_without_a_word_all_end(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(400, "not today")
    asked = [request(f"Input {number}") for number in range(12)]
    assert all(isinstance(one, EndpointError) for one in ask_all(asked, settings(endpoint.base_url)))
    assert len(endpoint.bodies) < 12 * 20


def test_a_temperature_that_has_to_be_positive_is_nearly_nothing(endpoint: ScriptedEndpoint) -> None:
    words = "`temperature` must be strictly positive"
    endpoint.chat = lambda asked, number: (
        Answer(body=completion()) if asked.body["temperature"] > 0 else failure(422, words)
    )
    _, again = twice(endpoint, request(sampling=Sampling(temperature=0.0, max_tokens=12)))
    assert (endpoint.bodies[-1]["temperature"], again) == (0.01, 1)


def test_a_value_that_is_the_default_may_be_left_out_whatever_is_said_of_it(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = refusing("top_p", failure(422, "`top_p` must be > 0.0 and < 1.0"))
    replies, _ = twice(endpoint, request(sampling=Sampling(temperature=0.5, max_tokens=12)))
    assert replies[0].raw["left_out"] == ["top_p"]


def test_everything_at_once(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if asked.body["messages"][0]["role"] == "system":
            return failure(400, "System role not supported")
        for name in ("temperature", "top_p", "logprobs", "seed", "response_format", "max_tokens"):
            if name in asked.body:
                return azure(f"{name}: not known to this model", name, "unsupported_parameter")
        if asked.body["max_completion_tokens"] < 700:
            return failure(400, "The message could not be finished within max_tokens.")
        return Answer(body=completion())

    endpoint.chat = script
    replies, again = twice(endpoint, request(top_logprobs=20, json_schema=SCHEMA))
    assert ([reply.text for reply in replies], again) == (["fine"] * 2, 1)


def test_a_prompt_that_is_refused_without_a_word_is_no_reason_to_ask_without_what_was_taken(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.chat = lambda asked, number: Answer(body=completion()) if number == 0 else failure(400, "Bad Request")
    asked = [request("a", top_logprobs=5), request("b", top_logprobs=5)]
    _, refused = ask_all(asked, settings(endpoint.base_url, max_concurrency=1))
    assert isinstance(refused, EndpointError)
    assert len(endpoint.asked) == 2


def test_openai_is_told_one_limit_alone() -> None:
    for url in ("https://api.openai.com/v1", "https://mine.openai.azure.com/openai/deployments/d"):
        assert "max_tokens" not in RequestOptions(url).of(request()).options
    assert {"max_tokens", "max_completion_tokens"} < RequestOptions("http://127.0.0.1/v1").of(request()).options.keys()


def test_a_server_that_ignores_the_limit_is_cut_to_it_and_told_by_the_older_name(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        endless = completion("so on and so forth, " * 2000)
        return Answer(
            body=endless if "max_completion_tokens" in asked.body else completion("fine", finish_reason="length")
        )

    endpoint.chat = script
    (cut, kept), _ = twice(endpoint, request())
    assert (cut.text, cut.finish_reason) == (("so on and so forth, " * 3)[:48], "length")
    assert cut.raw["cut_from_characters"] == 40_000
    assert kept.text == "fine"
    assert "max_completion_tokens" not in endpoint.bodies[-1]


def test_what_a_reply_never_wanted_is_no_proof_that_it_had_been_refused() -> None:
    options = RequestOptions()
    wordless = openai.BadRequestError(
        "Bad Request", response=httpx2.Response(400, request=httpx2.Request("POST", "http://a/v1")), body=None
    )
    critique, comparison = request(json_schema=SCHEMA), request()
    while "response_format" in (asked := options.of(critique)).options:
        assert options.learn(wordless, critique, asked)
    options.worked(options.of(comparison))
    assert options.left_out == []
    options.worked(asked)
    assert options.left_out == ["response_format"]


@pytest.mark.parametrize(
    "message",
    ["Invalid value: 'system'. Supported values are: 'user'.", "Only user and assistant roles are supported!"],
)
def test_a_system_message_that_is_refused_in_other_words_goes_into_the_users(
    endpoint: ScriptedEndpoint, message: str
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return failure(400, message) if asked.body["messages"][0]["role"] == "system" else Answer(body=completion())

    endpoint.chat = script
    assert ask(request(), settings(endpoint.base_url)).raw["left_out"] == ["system messages"]


def test_alternatives_are_asked_for_by_the_number_that_a_server_allows_under_its_own_name(
    endpoint: ScriptedEndpoint,
) -> None:
    def script(asked: Asked, number: int) -> Answer:
        told = "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20"
        return failure(422, told) if asked.body.get("top_logprobs", 0) > 5 else Answer(body=completion())

    endpoint.chat = script
    ask(request(top_logprobs=20), settings(endpoint.base_url))
    assert [body["top_logprobs"] for body in endpoint.bodies] == [20, 5]


def test_a_gateway_that_has_nobody_for_an_option_is_asked_without_it(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        told = "No endpoints found that can handle the requested parameters."
        return failure(404, told) if "top_logprobs" in asked.body else Answer(body=completion())

    endpoint.chat = script
    assert ask(request(top_logprobs=5), settings(endpoint.base_url)).raw["left_out"] == ["top_logprobs"]


def test_a_fault_behind_a_gateway_teaches_nothing_of_options(endpoint: ScriptedEndpoint) -> None:
    told = failure(400, "upstream connect error or disconnect/reset before headers", **{"retry-after-ms": "1"})
    endpoint.chat = lambda asked, number: told if number == 0 else Answer(body=completion())
    assert "left_out" not in ask(request(), settings(endpoint.base_url)).raw


def test_the_least_cap_is_learned_from_a_refusal_that_names_it_apart(endpoint: ScriptedEndpoint) -> None:
    told = {
        "type": "greater_than_equal",
        "loc": ["body", "max_tokens"],
        "msg": "Input should be greater than or equal to 16",
    }

    def script(asked: Asked, number: int) -> Answer:
        return Answer(422, {"detail": [told]}) if asked.body["max_tokens"] < 16 else Answer(body=completion())

    endpoint.chat = script
    ask(request(), settings(endpoint.base_url))
    assert [body["max_tokens"] for body in endpoint.bodies] == [12, 16]
