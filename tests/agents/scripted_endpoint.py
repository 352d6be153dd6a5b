"""A small OpenAI-compatible endpoint that answers, and misbehaves, as a test's script says."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    at: float

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


@dataclass(frozen=True)
class Answer:
    """What is sent back. `close` hangs up instead of answering."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    close: bool = False


Script = Callable[[Asked, int], Answer]
"""From a request and its number (from 0, of its path) to what is answered."""


def completion(content: str | None = "fine", **choice: Any) -> dict[str, Any]:
    """The body of a reply; keyword arguments are laid over its one choice, `usage` and `model` over the whole."""
    whole = {key: choice.pop(key) for key in ("usage", "model") if key in choice}
    message = {"role": "assistant", "content": content, "refusal": None}
    only = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None} | choice
    body = {"id": "c-1", "object": "chat.completion", "created": 0, "model": "m-2026", "choices": [only], "usage": None}
    return body | whole


def failure(status: int, message: str, **headers: str) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "some_error", "param": None, "code": None}}, headers)


def model_list(*names: str, owner: str = "somebody") -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": owner} for name in names]}


def ok(asked: Asked, number: int) -> Answer:
    return Answer(body=completion())


class QuietServer(ThreadingHTTPServer):
    """A server that tests hang up on."""

    request_queue_size = 64
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class ScriptedEndpoint:
    """Runs while it is entered; set `chat` and `models` to scripts at any time."""

    def __init__(self, port: int = 0) -> None:
        self.chat: Script = ok
        self.models: Script = lambda asked, number: Answer(body=model_list("m"))
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def bodies(self) -> Sequence[dict[str, Any]]:
        """What was posted, in order."""
        return [asked.body for asked in self.asked if asked.method == "POST"]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            number = sum(earlier.path == asked.path for earlier in self.asked)
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        answer = (self.models if asked.path.partition("?")[0].endswith("/models") else self.chat)(asked, number)
        time.sleep(answer.delay_s)
        with self._lock:
            self._at_once -= 1
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._do({})

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                is_json = self.headers["Content-Type"].startswith("application/json")
                self._do(json.loads(sent) if is_json else {"sent": sent})

            def _do(self, body: dict[str, Any]) -> None:
                headers = cast(Mapping[str, str], self.headers)
                answer = endpoint._answer(Asked(self.command, self.path, body, headers, time.monotonic()))
                if answer.close:
                    self.close_connection = True
                    return
                sent = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in ({"content-type": "application/json"} | dict(answer.headers)).items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
