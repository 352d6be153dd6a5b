"""What a served student refuses, and how; who is let in; what is streamed of a text that grows."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from openmic.core.endpoints.listening import LOOPBACK
from openmic.core.errors import ConfigError, StudentChangedError
from openmic.core.records import AdapterRef
from openmic.graph.serving.protocol import Growing
from openmic.graph.serving.server import serve
from openmic.graph.serving.students import Students
from openmic.training.engines.tiny_student import TinyStudent

from ...waiting import wait_until
from .conftest import listening, served, serving, task

USER = [{"role": "user", "content": "Soup."}]
PLACE = f"tasks/{quote('odd/名')}"
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=base_url, timeout=120) as opened:
        yield opened


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"model": "gpt-4"}, 404, "there are odd/名, odd/名:v0"),
        ({"messages": []}, 400, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "not of 'tool'"),
        ({"messages": [{"role": "user", "content": None}]}, 400, "messages.0: it has no content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "reads text, not 'image_url'"),
        ({"temperature": 3}, 400, "temperature: Input should be less than or equal to 2"),
        ({"temperature": "warm"}, 400, "temperature: "),
        ({"n": 0}, 400, "n: "),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"max_tokens": 10**6}, 400, "positions"),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, 400, "positions"),
        ({"messages": [{"role": "user", "content": "word " * 500_000}]}, 400, "characters, and"),
        ({"messages": [{"role": "user", "content": "word " * 1_000_000}]}, 413, "more than 4,000,000 bytes"),
        ({"logprobs": True}, 400, "does not give logprobs"),
        ({"tools": [{"type": "function"}]}, 400, "does not give tools"),
        ({"response_format": {"type": "json_object"}}, 400, "does not give response_format"),
        ({"frequency_penalty": 0.5}, 400, "does not give frequency_penalty"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openai_s_form(
    client: httpx2.Client, changes: dict[str, Any], status: int, told: str
) -> None:
    answer = client.post("/chat/completions", json={"model": "odd/名", "messages": USER, **changes})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert told in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'["\\ud800"]'])
def test_a_body_that_is_no_request_is_refused(client: httpx2.Client, body: bytes) -> None:
    answer = client.post("/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("content", ["", "🙂", "水壶在哪里?", "</s><|im_end|>", PARTS])
def test_any_text_is_answered(client: httpx2.Client, content: Any) -> None:
    body = {"model": "odd/名", "messages": [{"role": "user", "content": content}], "top_p": 0, "logprobs": False}
    assert client.post("/chat/completions", json={**body, "tools": [], "user": "me"}).status_code == 200


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([{"role": "system", "content": "Be a pirate."}, *USER], "has its own system prompt"),
        ([*USER, {"role": "assistant", "content": "x"}], "not: user, assistant"),
    ],
)
def test_a_task_takes_inputs_and_revisions_alone(client: httpx2.Client, messages: Any, told: str) -> None:
    answer = client.post(f"/{PLACE}/chat/completions", json={"model": "odd/名", "messages": messages})
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_addresses_that_are_not_there_are_refused_in_openai_s_form(client: httpx2.Client) -> None:
    for path in ("/tasks/humor/models", "/models/gpt-4", "/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]
    assert client.get("/chat/completions").status_code == 405


def test_an_input_of_several_fields_is_a_json_object(tiny: TinyStudent) -> None:
    given = task(inputs=("question", "context"))
    with (
        serving(served(tiny, given), tiny) as address,
        httpx2.Client(base_url=f"{address}/{PLACE}", timeout=120) as client,
    ):

        def ask(content: str) -> httpx2.Response:
            messages = [{"role": "user", "content": content}]
            return client.post("/chat/completions", json={"model": "odd/名", "messages": messages})

        assert ask(json.dumps({"question": "q", "context": ""})).status_code == 200
        for wrong in ("q", '{"question": "q"}', '{"question": "q", "context": 1}', "[]"):
            answer = ask(wrong)
            assert answer.status_code == 400
            assert "context" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_where_things_lie_is_for_whoever_runs_the_server(
    tiny: TinyStudent, caplog: pytest.LogCaptureFixture, tmp_path: Path, stream: bool
) -> None:
    gone = AdapterRef(9, str(tmp_path / "v000009"), "0")
    what = replace(served(tiny), versions={**served(tiny).versions, 9: gone})
    asked = {"model": "odd/名:v9", "messages": USER, "stream": stream}
    with serving(what, tiny) as address, httpx2.Client(base_url=address, timeout=120) as client:
        answer = client.post("/chat/completions", json=asked)
        assert answer.status_code == (200 if stream else 500)
        assert "the student cannot answer" in answer.text
        long = {**asked, "model": "odd/名:v0", "messages": [{"role": "user", "content": "word " * 5000}]}
        refused = client.post("/chat/completions", json=long)
        assert f"{tiny.folder.name!r} knows" in refused.text
    for told in (answer.text, refused.text):
        assert "/tmp" not in told
        assert str(tmp_path.parent) not in told
    assert f"{gone.uri} holds no committed adapter" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
def test_weights_that_changed_are_the_servers_fault(
    base_url: str, tiny: TinyStudent, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """As an engine finds out whose own server has ended, and is started again."""
    why = f"the weights of student.model {str(tiny.folder)!r} are not those that run R began with: a.json is new"

    async def started_again(*_: Any) -> None:
        raise StudentChangedError(why)

    monkeypatch.setattr(Students, "load", started_again)
    asked = {"model": "odd/名", "messages": USER, "stream": stream}
    answer = httpx2.post(f"{base_url}/chat/completions", json=asked, timeout=120)
    assert answer.status_code == (200 if stream else 503)
    error = json.loads(answer.text.splitlines()[2].removeprefix("data: ") if stream else answer.text)["error"]
    assert (error["type"], error["code"]) == ("server_error", "student_changed")
    assert error["message"] == why.replace(str(tiny.folder), tiny.folder.name)
    assert why in caplog.text


@pytest.mark.parametrize("path", ["chat/completions", f"{PLACE}/chat/completions"])
def test_no_other_site_s_page_is_answered(tiny: TinyStudent, path: str) -> None:
    body = json.dumps({"model": "odd/名", "messages": USER}).encode()
    # As a page sends it that asks nobody whether it may: no preflight comes before a POST of plain text.
    page = {"Content-Type": "text/plain;charset=UTF-8"}
    with serving(served(tiny), tiny, hosts=LOOPBACK) as address:
        own = address.removesuffix("/v1")

        def post(**headers: str) -> httpx2.Response:
            return httpx2.post(f"{address}/{path}", content=body, headers={**page, **headers}, timeout=120)

        port = own.rpartition(":")[2]
        for origin in ("http://evil.example", "null", "", "http://127.0.0.1:9", f"http://localhost:{port}", "file://"):
            refused = post(Origin=origin)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_origin")
        rebound = post(Host=f"evil.example:{port}", Origin=f"http://evil.example:{port}")
        assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "wrong_host")
        assert post().status_code == 200
        assert post(Origin=own).status_code == 200
        assert post(Host=f"localhost:{port}", Origin=f"http://localhost:{port}").status_code == 200
        # What does nothing may be sent; no answer lets the page read it.
        seen = httpx2.get(f"{address}/models", headers={"Origin": "http://evil.example"}, timeout=120)
        assert not [name for name in seen.headers if name.startswith("access-control")]
    with serving(served(tiny), tiny, token="right") as address:
        known = {**page, "Authorization": "Bearer right", "Origin": "http://chat.example"}
        assert httpx2.post(f"{address}/{path}", content=body, headers=known, timeout=120).status_code == 200


def test_a_token_is_wanted_by_every_request_and_a_foreign_host_is_sent_away(tiny: TinyStudent) -> None:
    with serving(served(tiny), tiny, token="right") as address:
        bearers = {"": 401, "Bearer wrong": 401, "Bearer right": 200}
        for given, status in bearers.items():
            assert httpx2.get(f"{address}/models", headers={"Authorization": given}, timeout=120).status_code == status
        assert httpx2.get(address.removesuffix("/v1") + "/healthz", timeout=120).status_code == 200
    with serving(served(tiny), tiny, hosts={"127.0.0.1"}) as address:
        assert httpx2.get(f"{address}/models", timeout=120).status_code == 200
        foreign = httpx2.get(f"{address}/models", headers={"Host": "evil.example"}, timeout=120)
        assert foreign.status_code == 403


@pytest.mark.parametrize(
    ("host", "token", "told"),
    [("0.0.0.0", None, "set a token"), ("192.0.2.1", None, "set a token"), ("127.0.0.1", " ", "--token is empty")],
)
def test_other_machines_are_let_in_by_a_token_alone(host: str, token: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        serve(None, None, None, host=host, port=0, token=token, on_ready=print)  # type: ignore[arg-type]  # before it is read


@pytest.mark.parametrize("stops", [(), ("ab",), ("zzz",)])
def test_what_was_told_of_a_growing_text_is_never_taken_back(stops: tuple[str, ...]) -> None:
    text = "say ab, 汤 and so on"
    growing = Growing(stops)
    told = ""
    for end in range(len(text) + 1):
        told += growing.piece(text[:end] + ("\N{REPLACEMENT CHARACTER}" if end % 3 == 0 else ""))
        assert text.startswith(told)
    told += growing.piece(text, whole=True)
    assert told == (text.partition("ab")[0] if "ab" in stops else text)


def test_what_nobody_waits_for_is_given_up(tiny: TinyStudent, caplog: pytest.LogCaptureFixture) -> None:
    class Slow:
        streams = False
        asked = given_up = 0

        async def load(self, ref: AdapterRef, keep: Any = ()) -> None:
            """Nothing to load."""

        async def generate(self, request: Any) -> Any:
            self.asked += 1
            try:
                await asyncio.sleep(60)
            finally:
                self.given_up += 1

        async def close(self) -> None:
            """Nothing to end."""

    engine = Slow()

    async def opened() -> Students:
        return Students(served(tiny), cast(Any, engine))

    body = {"model": "odd/名", "messages": USER, "n": 3}
    with listening(opened) as url:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/chat/completions", json=body, timeout=2)
        wait_until(lambda: engine.given_up == engine.asked == 3)
        # One whose body is on its way yet.
        where = urlsplit(url)
        with socket.create_connection((str(where.hostname), int(where.port or 0))) as half:
            half.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: {where.netloc}\r\n".encode())
            half.sendall(b"Content-Length: 100\r\n\r\n{")
        asking = threading.Thread(target=lambda: suppressed(httpx2.post, f"{url}/chat/completions", json=body))
        asking.start()
        wait_until(lambda: engine.asked == 6)
    asking.join()
    assert engine.given_up == 6
    assert caplog.text == ""


def suppressed(call: Callable[..., object], *arguments: Any, **named: Any) -> None:
    with suppress(httpx2.HTTPError):
        call(*arguments, **named)
