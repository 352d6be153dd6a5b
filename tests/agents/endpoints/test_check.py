import os

import pytest

from openmic.agents.endpoints.check import check_endpoint, check_scores_prompts
from openmic.core.config import EndpointSettings
from openmic.core.errors import EndpointSetupError
from openmic.simulator import SimulatedCast

from ..scripted_endpoint import Answer, ScriptedEndpoint, completion, failure, model_list


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


def test_an_endpoint_with_the_model_is_fine_and_is_asked_for_nothing_else(
    endpoint: ScriptedEndpoint, secret: str
) -> None:
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False
    assert [(asked.method, asked.path, asked.authorization) for asked in endpoint.asked] == [
        ("GET", "/v1/models", f"Bearer {secret}")
    ]


def test_a_simulated_cast_elsewhere_is_known(simulated: SimulatedCast) -> None:
    assert check_endpoint("critic", settings(simulated.base_url, model="sim-critic")) is True


def test_the_address_comes_from_the_environment_too(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url + "/")
    check_endpoint("teacher", settings())
    assert endpoint.asked[0].path == "/v1/models"


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
    assert f"the endpoint {url} cannot be reached (" in message
    assert "cast.teacher.base_url or OPENAI_BASE_URL" in message
    assert secret not in message


def test_an_endpoint_that_hangs_up_or_keeps_silent(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: Answer(close=True)
    assert "cannot be reached" in refusal(settings(endpoint.base_url))
    endpoint.models = lambda asked, number: Answer(body=model_list("m"), delay_s=1)
    assert "cannot be reached (timed out)" in refusal(settings(endpoint.base_url, timeout_s=0.2), "judge")


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_key_is_named_by_its_variable_and_not_printed(
    endpoint: ScriptedEndpoint, secret: str, status: int
) -> None:
    endpoint.models = lambda asked, number: failure(status, "Incorrect API key provided")
    message = refusal(settings(endpoint.base_url), "critic")
    assert f"rejects the key in the environment variable OPENAI_API_KEY (HTTP {status})" in message
    assert secret not in message


def test_a_key_that_is_wanted_and_not_there(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: failure(401, "You didn't provide an API key")
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
    message = refusal(settings(endpoint.base_url, model="gpt-4o-mni"))
    assert "has no model 'gpt-4o-mni'; it has gpt-4o-mini, gpt-4o" in message
    assert "whisper" not in message
    assert "set cast.teacher.model" in message


def test_where_no_name_is_similar_some_are_shown(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: Answer(body=model_list(*(f"x{n:02}" for n in range(30))))
    assert "it has x00, x01, x02, x03, x04, x05, x06, x07, x08, x09; set" in refusal(settings(endpoint.base_url))


def test_a_name_that_the_simulated_cast_lacks(simulated: SimulatedCast) -> None:
    message = refusal(settings(simulated.base_url, model="sim-critc"), "critic")
    assert "has no model 'sim-critc'; it has sim-critic" in message


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_a_list_of_models_is_asked_the_smallest_thing(
    endpoint: ScriptedEndpoint, status: int
) -> None:
    endpoint.models = lambda asked, number: failure(status, "no such route")
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False
    assert [asked.path for asked in endpoint.asked] == ["/v1/models", "/v1/chat/completions"]
    assert endpoint.bodies[0]["model"] == "m"
    assert endpoint.bodies[0]["max_tokens"] == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "wants a key"),
        (404, "has no model 'm' (HTTP 404); set cast.teacher.model"),
        (500, "answers HTTP 500: "),
        (400, "answers HTTP 400: "),
    ],
)
def test_what_an_endpoint_without_a_list_answers_is_told(endpoint: ScriptedEndpoint, status: int, message: str) -> None:
    endpoint.models = lambda asked, number: failure(404, "no such route")
    endpoint.chat = lambda asked, number: failure(status, "not today")
    assert message in refusal(settings(endpoint.base_url))


def test_a_broken_endpoint_is_told_with_its_words(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: failure(503, "down for repair " * 100)
    message = refusal(settings(endpoint.base_url))
    assert "answers HTTP 503: " in message
    assert "down for repair" in message
    assert len(message) < 500


def test_a_busy_endpoint_is_there(endpoint: ScriptedEndpoint) -> None:
    endpoint.models = lambda asked, number: failure(429, "slow down")
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False
    endpoint.models = lambda asked, number: failure(404, "no such route")
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    assert check_endpoint("teacher", settings(endpoint.base_url)) is False


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"", [], {}, {"data": None}, {"data": [{}]}, {"data": ["m"]}, {"data": 3}, "m"]
)
def test_an_address_that_is_no_openai_compatible_endpoint(endpoint: ScriptedEndpoint, body: object) -> None:
    endpoint.models = lambda asked, number: Answer(body=body)
    assert "is no OpenAI-compatible model list" in refusal(settings(endpoint.base_url))


def test_a_redirect_is_not_followed_with_the_key(endpoint: ScriptedEndpoint, secret: str) -> None:
    endpoint.models = lambda asked, number: Answer(302, completion(), {"location": endpoint.base_url + "/elsewhere"})
    refusal(settings(endpoint.base_url))
    assert len(endpoint.asked) == 1


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
    with pytest.raises(EndpointSetupError, match=r"cast\.jury\.0: .*does not score prompts.*set verdict\.style to"):
        check_scores_prompts("jury.0", settings(endpoint.base_url))


def test_a_busy_endpoint_is_taken_to_score(endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    check_scores_prompts("critic", settings(endpoint.base_url))
