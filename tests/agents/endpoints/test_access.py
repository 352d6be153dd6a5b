import pytest

from openmic.agents.endpoints.access import Access, endpoint_url
from openmic.core.errors import EndpointSetupError

from ..factories import ask, request, settings
from ..scripted_endpoint import ScriptedEndpoint


def test_headers_query_and_body_of_the_settings_are_sent(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", " az-secret\n")
    theirs = settings(
        endpoint.base_url,
        headers={"api-key": "${AZURE_KEY}", "X-Title": "openmic"},
        query={"api-version": "2024-10-21"},
        extra_body={"top_k": 5, "temperature": 0.1, "chat_template_kwargs": {"enable_thinking": False}},
        reasoning_effort="low",
    )
    reply = ask(request(), theirs)
    [asked] = endpoint.asked
    assert asked.path == "/v1/chat/completions?api-version=2024-10-21"
    assert (asked.headers["api-key"], asked.headers["X-Title"], asked.authorization) == ("az-secret", "openmic", None)
    assert (asked.body["top_k"], asked.body["temperature"], asked.body["reasoning_effort"]) == (5, 0.1, "low")
    assert asked.body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "az-secret" not in reply.model_dump_json() + theirs.model_dump_json()


def test_a_key_goes_with_headers_and_a_header_of_its_own_goes_before_the_key(
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("GATEWAY", "Basic abc")
    ask(request(), settings(endpoint.base_url, headers={"X-Team": "a"}))
    ask(request(), settings(endpoint.base_url, headers={"authorization": "${GATEWAY}"}))
    assert [asked.authorization for asked in endpoint.asked] == ["Bearer sk-1", "Basic abc"]


def test_a_query_of_the_address_is_sent_after_the_path(endpoint: ScriptedEndpoint) -> None:
    theirs = settings(f"{endpoint.base_url}/?api-version=1", query={"region": "eu"})
    ask(request(), theirs)
    assert endpoint.asked[0].path == "/v1/chat/completions?api-version=1&region=eu"
    assert endpoint_url(theirs) == endpoint.base_url


def test_a_variable_that_is_not_set_is_named() -> None:
    theirs = settings("http://a/v1", headers={"api-key": "${NO_SUCH_KEY}"})
    with pytest.raises(EndpointSetupError, match=r"headers\.api-key names the environment variable NO_SUCH_KEY"):
        Access.of(theirs)


def test_what_is_hidden_is_the_key_and_what_the_environment_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key")
    monkeypatch.setenv("MYKEY", "sk-abcdef123456")
    monkeypatch.setenv("ROUTE", "sk-abcdef")
    access = Access.of(
        settings(
            "http://a/v1?region=europe",
            headers={"Authorization": "Bearer ${MYKEY}", "X-Title": "openmic"},
            query={"api-version": "2024-10-21"},
            extra_body={"provider": [{"key": "${ROUTE}"}]},
        )
    )
    said = "openmic: 2024-10-21 in europe got Bearer sk-abcdef123456, sk-abcdef, sk-the-key"
    assert access.redacted(said) == "openmic: 2024-10-21 in europe got Bearer …, …, …"
