"""Endpoints, keys and models that cannot be used: see `refusal` for what they get."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Openmic
from .refusal import refused


def elsewhere(url: str, model: str = "sim-teacher") -> list[str]:
    return ["--set", f"cast.teacher.model={model}", "--set", f"cast.teacher.base_url={url}"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", "nonsense"])
def test_an_endpoint_that_cannot_be_reached(openmic: Openmic, config: Path, tmp_path: Path, url: str) -> None:
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url))
    assert f"cast.teacher: the endpoint {url} cannot be reached" in error
    assert "cast.teacher.base_url" in error


class Told(http.server.ThreadingHTTPServer):
    """Answers every request with the status and the body that a test sets."""

    answer: tuple[int, bytes] = (200, b"")
    answer_to_post: tuple[int, bytes] | None = None
    """None: as a GET is answered."""


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request as its server was told."""

    server: Told

    def do_GET(self) -> None:
        self._answer(self.server.answer)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self.server.answer_to_post or self.server.answer)

    def _answer(self, answer: tuple[int, bytes]) -> None:
        status, body = answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A server on loopback whose `answer` and `answer_to_post` tests set."""
    server = Told(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url_of(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>welcome</html>"), ["is no OpenAI-compatible endpoint", "/v1"]),
        ((503, b"over capacity"), ["HTTP 503", "over capacity"]),
        ((401, b"{}"), ["wants a key", "OPENAI_API_KEY", "401"]),
    ],
)
def test_an_endpoint_that_is_none(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any, answer: tuple[int, bytes], said: list[str]
) -> None:
    endpoint.answer = answer
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    for words in ("cast.teacher", url_of(endpoint), *said):
        assert words in error


def test_what_an_endpoint_says_cannot_drive_the_terminal(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any
) -> None:
    endpoint.answer = (500, b"\x1b[2J\x1b]0;owned\x07out of order")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    assert "out of order" in error
    assert "\x1b" not in error
    assert "\x07" not in error


def test_openai_itself_without_a_key(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    error = refused(openmic, tmp_path, "run", str(config), "--set", "cast.critic.model=gpt-4.1-mini")
    assert "cast.critic: https://api.openai.com/v1 needs a key" in error
    assert "OPENAI_API_KEY" in error


@pytest.mark.parametrize(("status", "said"), [(401, "rejects the key"), (403, "rejects the key")])
def test_a_key_that_is_rejected(
    openmic: Openmic,
    config: Path,
    tmp_path: Path,
    endpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    said: str,
) -> None:
    endpoint.answer = (status, b'{"error": {"code": "invalid_api_key"}}')
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    assert f"cast.teacher: the endpoint {url_of(endpoint)} {said}" in error
    assert "OPENAI_API_KEY" in error
    assert "sk-wrong-and-secret" not in error


def test_the_simulated_cast_rejects_a_wrong_key_and_takes_the_right_one(
    openmic: Openmic, config: Path, tmp_path: Path, locked_cast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(locked_cast))
    assert "rejects the key in the environment variable OPENAI_API_KEY" in error
    assert "wrong" not in error
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    assert openmic("run", str(config), "--dry-run", *elsewhere(locked_cast)).code == 0


def test_a_model_that_the_endpoint_does_not_have(openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any) -> None:
    endpoint.answer = (200, json.dumps({"data": [{"id": "sim-teacher"}, {"id": "other"}]}).encode())
    endpoint.answer_to_post = (404, b'{"error": {"message": "there is no such model"}}')
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint), "sim-teach"))
    assert "has no model 'sim-teach' (HTTP 404); it has sim-teacher" in error
    assert "cast.teacher.model" in error


def test_a_model_that_an_endpoint_without_a_list_does_not_have(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any
) -> None:
    endpoint.answer = (405, b"")
    endpoint.answer_to_post = (404, b'{"error": {"code": "model_not_found", "message": "no model gone here"}}')
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint), "gone"))
    assert "has no model 'gone'" in error


def test_without_a_check_nobody_is_asked(openmic: Openmic, config: Path) -> None:
    nobody = elsewhere("http://127.0.0.1:9/v1")
    assert openmic("run", str(config), "--dry-run", "--no-check", *nobody).code == 0
