import os
from typing import Any

import pytest

from openmic.agents.endpoints import check
from openmic.agents.endpoints.check import check_endpoint, check_scores_prompts, check_takes_batches
from openmic.core.config import EndpointSettings
from openmic.core.errors import EndpointLostError, EndpointSetupError
from openmic.simulator import SimulatedCast

from ..factories import ask, request
from ..scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure, model_list


def settings(url: str | None = None, **more: object) -> EndpointSettings:
    return EndpointSettings.model_validate({"model": "m", "base_url": url, **more})


def refusal(settings: EndpointSettings, name: str = "teacher") -> str:
    with pytest.raises(EndpointSetupError) as caught:
        check_endpoint(name, settings)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(f"cast.{name}: ")
    return str(caught.value)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    return "sk-secret"


def test_what_decides_is_one_tiny_chat(endpoint: ScriptedEndpoint, secret: str) -> None:
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False
    assert [(asked.method, asked.path, asked.authorization) for asked in endpoint.asked] == [
        ("POST", "/v1/chat/completions", f"Bearer {secret}"),
        ("GET", "/v1/models", f"Bearer {secret}"),
    ]
    [body] = endpoint.bodies
    assert (body["model"], body["max_tokens"]) == ("m", 16)


LISTS: list[object] = [
    [{"id": "m"}],
    {"models": [{"name": "m:latest"}]},
    {"data": None},
    {"data": [{"id": "models/m"}]},
    {"data": ["other"]},
    b"<html>",
    [],
]


@pytest.mark.parametrize("body", LISTS)
def test_whatever_list_of_models_there_is_an_endpoint_that_chats_is_fine(
    endpoint: ScriptedEndpoint, body: object
) -> None:
    endpoint.models = lambda asked, number: Answer(body=body)
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False


def test_options_that_it_refuses_are_left_out(endpoint: ScriptedEndpoint) -> None:
    def choosy(asked: Asked, number: int) -> Answer:
        for name in ("temperature", "top_p", "seed"):
            if name in asked.body:
                return failure(400, f"Unsupported parameter: {name} is not supported with this model.")
        return Answer(body=completion())

    endpoint.chat = choosy
    assert check_endpoint("critic", settings(endpoint.base_url)) is False


def test_it_is_asked_with_the_headers_and_the_query_of_the_run(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", "sk-azure")
    theirs = {"headers": {"api-key": "${AZURE_KEY}"}, "query": {"api-version": "2024-10-21"}}

    def azure(asked: Asked, number: int) -> Answer:
        return Answer(body=completion()) if asked.path.endswith("?api-version=2024-10-21") else failure(404, "")

    endpoint.chat = azure
    assert check_endpoint("critic", settings(endpoint.base_url, **theirs)) is False
    assert check_endpoint("critic", settings(f"{endpoint.base_url}?api-version=2024-10-21")) is False


def strict(asked: Asked, number: int) -> Answer:
    """As a server that has one route and no other."""
    if asked.path == "/v1/chat/completions":
        return Answer(body=completion())
    return Answer(404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    "wrong",
    [
        "http://HOST",
        "http://HOST/",
        "http://HOST/v1/chat/completions",
        "http://HOST/v1/completions/",
        "http://HOST/v1/models",
        "http://HOST/v1/v1",
        "http://HOST/api",
        "https://HOST/v1",
        "https://HOST",
        "HOST/v1",
        "HOST",
    ],
)
def test_an_address_that_is_nearly_right_is_told_apart_from_a_wrong_model(
    endpoint: ScriptedEndpoint, wrong: str
) -> None:
    endpoint.chat = endpoint.models = strict
    message = refusal(settings(wrong.replace("HOST", endpoint.base_url.removeprefix("http://").removesuffix("/v1"))))
    assert f"does: set cast.teacher.base_url to {endpoint.base_url}" in message
    assert "has no model" not in message


def test_the_address_of_the_environment_is_named_as_such(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.chat = endpoint.models = strict
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url.removesuffix("/v1"))
    assert f"set OPENAI_BASE_URL to {endpoint.base_url}" in refusal(settings())


def test_a_query_that_is_not_wanted_is_told(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = endpoint.models = strict
    message = refusal(settings(f"{endpoint.base_url}?api-version=3"))
    assert f"{endpoint.base_url} answers chats only without the query api-version" in message


def test_space_around_an_address_is_no_matter(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = endpoint.models = strict
    assert check_endpoint("teacher", settings(f"  {endpoint.base_url}/ ")) is False


def test_an_account_without_money_is_told(endpoint: ScriptedEndpoint) -> None:
    used_up = {"error": {"message": "You exceeded your quota", "type": "insufficient_quota"}}
    endpoint.chat = lambda asked, number: Answer(429, used_up)
    assert "cannot go on (HTTP 429: You exceeded your quota)" in refusal(settings(endpoint.base_url))
    endpoint.chat = lambda asked, number: failure(402, "Insufficient credits")
    assert "cannot go on (HTTP 402: Insufficient credits)" in refusal(settings(endpoint.base_url))


def test_what_passes_is_waited_for_a_little(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE_S", 0.0)
    endpoint.chat = lambda asked, number: failure(503, "starting") if number < 2 else Answer(body=completion())
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False


def test_words_that_are_filtered_are_no_fault_of_the_endpoint(endpoint: ScriptedEndpoint) -> None:
    filtered = {"error": {"message": "The prompt was filtered by the content policy.", "code": "content_filter"}}
    endpoint.chat = lambda asked, number: Answer(400, filtered)
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False


def test_a_model_that_is_listed_and_does_not_chat(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(404, "This is not a chat model.")
    assert "lists the model 'm' and does not chat with it" in refusal(settings(endpoint.base_url))


def test_a_simulated_cast_elsewhere_is_known(simulated: SimulatedCast) -> None:
    assert check_endpoint("critic", settings(simulated.base_url, model="sim-critic")) is True


def test_the_address_comes_from_the_environment_too(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url + "/")
    check_endpoint("teacher", settings())
    assert endpoint.asked[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/v1",
        "http://127.0.0.1:99999/v1",
        "http://nowhere.invalid/v1",
        "localhost:8000/v1",
        "ftp://127.0.0.1/v1",
        "http://[bad/v1",
        "http://exa mple/v1",
        "no address",
        "http://127.0.0.1:port/v1",
    ],
)
def test_an_endpoint_that_cannot_be_reached(url: str, secret: str) -> None:
    message = refusal(settings(url))
    assert f"the endpoint {url} cannot be reached (" in message, message
    assert "cast.teacher.base_url or OPENAI_BASE_URL" in message
    assert secret not in message


def test_an_endpoint_that_hangs_up_or_keeps_silent(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: Answer(close=True)
    assert "cannot be reached" in refusal(settings(endpoint.base_url))
    endpoint.chat = lambda asked, number: Answer(body=completion(), delay_s=1)
    assert "cannot be reached (no reply within 0.2 s" in refusal(settings(endpoint.base_url, timeout_s=0.2), "judge")


@pytest.mark.parametrize(
    "first",
    [Answer(close=True), Answer(body=b'data: {"choices": []}\n\ndata: [DONE]\n\n'), Answer(body=b""), Answer(503)],
    ids=["hangs up", "an empty stream", "an empty body", "503"],
)
def test_what_goes_wrong_once_is_asked_for_again(
    endpoint: ScriptedEndpoint, first: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.agents.endpoints.check.PAUSE_S", 0.01)
    endpoint.chat = lambda asked, number: Answer(body=completion()) if number else first
    check_endpoint("critic", settings(endpoint.base_url))
    assert len(endpoint.asked) >= 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_key_is_named_by_its_variable_and_not_printed(
    endpoint: ScriptedEndpoint, secret: str, status: int
) -> None:
    endpoint.chat = lambda asked, number: failure(status, "Incorrect API key provided")
    message = refusal(settings(endpoint.base_url), "critic")
    assert f"rejects the key in the environment variable OPENAI_API_KEY (HTTP {status}: " in message
    assert secret not in message


def test_a_key_that_is_wanted_and_not_there(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(401, "You didn't provide an API key")
    message = refusal(settings(endpoint.base_url, api_key_env="MY_KEY"))
    assert "wants a key, and there is none in the environment variable MY_KEY" in message


def test_openai_itself_is_not_asked_without_a_key() -> None:
    message = refusal(settings())
    assert "https://api.openai.com/v1 needs a key; set the environment variable OPENAI_API_KEY" in message


@pytest.mark.parametrize("key", ["sk-secret\nsk-secret", "sk-sécret", "sk-\x00secret"])
def test_what_cannot_be_a_key_is_not_sent(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    # The system refuses a NUL in a real environment, so the client's own view of it is what is replaced.
    monkeypatch.setattr(os, "environ", {**os.environ, "OPENAI_API_KEY": key})
    message = refusal(settings(endpoint.base_url))
    assert "the environment variable OPENAI_API_KEY holds is no key" in message
    assert "cret" not in message
    assert endpoint.asked == []


def test_the_line_end_of_a_copied_key_is_no_matter(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    check_endpoint("teacher", settings(endpoint.base_url))
    assert endpoint.asked[0].authorization == "Bearer sk-secret"


def test_a_simulated_cast_rejects_a_wrong_key(locked: SimulatedCast, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = settings(locked.base_url, model="sim-teacher")
    assert "wants a key" in refusal(theirs)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    assert "rejects the key" in refusal(theirs)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    assert check_endpoint("teacher", theirs)


def test_a_missing_model_is_named_with_those_of_a_similar_name(endpoint: ScriptedEndpoint) -> None:
    names = ("gpt-4o", "gpt-4o-mini", "whisper-1", "o3")
    endpoint.models = lambda asked, number: Answer(body=model_list(*names))
    endpoint.chat = lambda asked, number: failure(404, "The model `gpt-4o-mni` does not exist")
    message = refusal(settings(endpoint.base_url, model="gpt-4o-mni"))
    assert "has no model 'gpt-4o-mni' (HTTP 404); it has gpt-4o-mini, gpt-4o" in message
    assert "whisper" not in message
    assert "set cast.teacher.model" in message


def test_where_no_name_is_similar_some_are_shown(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: Answer(body=model_list(*(f"x{n:02}" for n in range(30))))
    endpoint.chat = lambda asked, number: failure(404, "no such model")
    assert "it has x00, x01, x02, x03, x04, x05, x06, x07, x08, x09; set" in refusal(settings(endpoint.base_url))


def test_a_name_that_the_simulated_cast_lacks(simulated: SimulatedCast) -> None:
    message = refusal(settings(simulated.base_url, model="sim-critc"), "critic")
    assert "has no model 'sim-critc' (HTTP 404); it has sim-critic" in message


@pytest.mark.parametrize(
    ("wanted", "close"), [("m", "m:latest"), ("gemini-2", "models/gemini-2"), ("M-7b", "org/m-7b")]
)
def test_names_with_a_tag_or_a_prefix_are_close(endpoint: ScriptedEndpoint, wanted: str, close: str) -> None:
    endpoint.models = lambda asked, number: Answer(body=model_list("zebra", "apple", close))
    endpoint.chat = lambda asked, number: failure(404, f"model '{wanted}' not found")
    assert f"it has {close}" in refusal(settings(endpoint.base_url, model=wanted))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "wants a key"),
        (404, "is no OpenAI-compatible endpoint (HTTP 404: not today); is"),
        (405, "is no OpenAI-compatible endpoint (HTTP 405: not today); is"),
        (500, "answers HTTP 500: not today"),
        (400, "answers HTTP 400: not today"),
    ],
)
def test_what_an_endpoint_without_a_list_answers_is_told(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    monkeypatch.setattr(check, "PAUSE_S", 0.0)
    endpoint.models = lambda asked, number: failure(404, "no such route")
    endpoint.chat = lambda asked, number: failure(status, "not today")
    assert message in refusal(settings(endpoint.base_url))


def test_a_broken_endpoint_is_told_with_its_words(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE_S", 0.0)
    endpoint.chat = lambda asked, number: failure(503, "down for repair " * 100)
    message = refusal(settings(endpoint.base_url))
    assert "answers HTTP 503: " in message
    assert "down for repair" in message
    assert len(message) < 500


def test_a_busy_endpoint_is_there(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", [], {}, {"data": None}, "m", {"object": "list"}])
def test_an_address_that_is_no_openai_compatible_endpoint(endpoint: ScriptedEndpoint, body: object) -> None:
    endpoint.chat = lambda asked, number: Answer(body=body)
    assert "is no OpenAI-compatible endpoint" in refusal(settings(endpoint.base_url))


KEYS: list[dict[str, Any]] = [
    {},
    {"headers": {"api-key": "${AZURE_KEY}"}},
    {"headers": {"authorization": "Basic ${AZURE_KEY}"}},
    {"extra_body": {"token": "${AZURE_KEY}"}},
]


@pytest.mark.parametrize("more", KEYS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_is_meant_for_one_server_is_sent_to_no_other(
    endpoint: ScriptedEndpoint, secret: str, monkeypatch: pytest.MonkeyPatch, status: int, more: dict[str, Any]
) -> None:
    monkeypatch.setenv("AZURE_KEY", "az-secret-1")
    with ScriptedEndpoint() as other:
        moved = Answer(status, completion(), {"location": other.base_url + "/chat/completions"})
        endpoint.chat = endpoint.models = lambda asked, number: moved
        elsewhere = other.base_url.removesuffix("/v1")
        assert f"it sends requests on to {elsewhere}" in refusal(settings(endpoint.base_url, **more))
        with pytest.raises(EndpointLostError, match="it sends requests on to"):
            ask(request(), settings(endpoint.base_url, **more, patience_s=0))
        assert other.asked == []


def test_a_redirect_on_the_same_server_is_followed(endpoint: ScriptedEndpoint, secret: str) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if asked.path.startswith("/v1/chat"):
            return Answer(307, {}, {"location": asked.path.replace("/v1/", "/v2/")})
        return Answer(body=completion())

    endpoint.chat = script
    assert ask(request(), settings(endpoint.base_url)).text == "fine"
    assert endpoint.asked[-1].authorization == f"Bearer {secret}"


SCORED = {"choices": [{"logprobs": {"tokens": ["One", " two", "."], "token_logprobs": [None, -1.0, -2.0]}}]}


def test_an_endpoint_that_scores_prompts(endpoint: ScriptedEndpoint, secret: str) -> None:
    endpoint.chat = lambda asked, number: Answer(body=SCORED)
    check_scores_prompts("critic", settings(endpoint.base_url))
    [asked] = endpoint.asked
    assert (asked.path, asked.authorization) == ("/v1/completions", f"Bearer {secret}")
    assert (asked.body["echo"], asked.body["model"]) == (True, "m")


@pytest.mark.parametrize(
    "answer",
    [
        failure(404, "no such route"),
        failure(400, "echo is not supported"),
        Answer(body={"choices": [{"logprobs": None}]}),
        Answer(body={"choices": [{"logprobs": {"token_logprobs": [-1.0]}}]}),
        Answer(body=[]),
        Answer(body=b"<html>"),
        Answer(close=True),
    ],
    ids=lambda answer: f"{answer.status} {answer.body}"[:30],
)
def test_an_endpoint_that_does_not_score_prompts(endpoint: ScriptedEndpoint, answer: Answer) -> None:
    endpoint.chat = lambda asked, number: answer
    said = r"cast\.jury\.0: .*does not score prompts.*set verdict\.style to"
    with pytest.raises(EndpointSetupError, match=said) as caught:
        check_scores_prompts("jury.0", settings(endpoint.base_url))
    assert str(caught.value).count("cloze verdicts need") == 1


def test_a_busy_endpoint_is_taken_to_score(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    check_scores_prompts("critic", settings(endpoint.base_url))


BATCHES: list[tuple[Answer, str]] = [
    (failure(404, "no such page"), "has no batch API (its list of batches: HTTP 404: no such page)"),
    (failure(405, "not that"), "has no batch API (its list of batches: HTTP 405: not that)"),
    (Answer(body=b"<html>"), "has no batch API (its list of batches: HTTP 404: what it answers is no list"),
    (Answer(body={"object": "model"}), "has no batch API (its list of batches: HTTP 404: what it answers is no list"),
    (failure(403, "sk-secret may not"), "takes no batches (its list of batches: HTTP 403: "),
]


@pytest.mark.parametrize(("answer", "words"), BATCHES)
def test_an_endpoint_without_batches_is_one_line(
    endpoint: ScriptedEndpoint, secret: str, answer: Answer, words: str
) -> None:
    endpoint.chat = lambda asked, number: answer
    with pytest.raises(EndpointSetupError) as caught:
        check_takes_batches("judge", settings(endpoint.base_url))
    said = str(caught.value)
    assert said.startswith(f"cast.judge.batch: the endpoint {endpoint.base_url} {words}")
    assert said.endswith("set cast.judge.batch to false, or another endpoint")
    assert secret not in said
    assert [(asked.method, asked.path) for asked in endpoint.asked] == [("GET", "/v1/batches?limit=1")]


@pytest.mark.parametrize("answer", [Answer(body={"object": "list", "data": []}), failure(429, "later")])
def test_an_endpoint_with_batches_or_too_busy_to_say_is_fine(endpoint: ScriptedEndpoint, answer: Answer) -> None:
    endpoint.chat = lambda asked, number: answer
    check_takes_batches("judge", settings(endpoint.base_url))
