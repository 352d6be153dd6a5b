"""A student server that speaks vLLM's and SGLang's documented calls in front of a real tiny model.

vLLM itself is for `make test-servers`, and SGLang needs a GPU; what is tested against this server is that openmic makes
their calls as they are documented and understands their answers. What it generates is what `BatchGenerator` generates.
"""

import asyncio
import copy
import socket
import threading
import time
from dataclasses import replace
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from openmic.core.errors import AdapterError, GenerationError
from openmic.core.records import AdapterRef, GenerationRequest, Message, StudentSampling
from openmic.training.engines.static import BatchGenerator
from openmic.training.student.student import LoadedStudent


class StudentServer:
    """Runs while it is entered."""

    def __init__(self, student: LoadedStudent) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.adapters: dict[str, int] = {}
        self.failures = 0
        """How many of the next completions are answered with 503."""
        self.refusal: tuple[int, str] | None = None
        """With what status and words every call is refused."""
        self.moved_to: str | None = None
        """Where every call is sent on to, as it is (307)."""
        self.delay_s = 0.0
        self.takes_adapters = True
        """Whether adapters may be loaded while it runs."""
        self.key: str | None = None
        """What it wants as a key."""
        self._student = replace(student, tokenizer=_ReadsIds(student.tokenizer))
        self._engine = self._fresh()
        self._lock = threading.Lock()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def called(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.calls if asked == path]

    def forget_adapters(self) -> None:
        """As a server does that is started anew."""
        self.adapters.clear()
        self._engine = self._fresh()

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _fresh(self) -> BatchGenerator:
        student = replace(self._student, model=copy.deepcopy(self._student.model))
        return BatchGenerator(student, max_batch=16)

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/models")
        async def models() -> dict[str, Any]:
            return {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "us"}]}

        @app.post("/{path:path}")
        async def post(path: str, request: Request) -> Response:
            body = await request.json()
            self.calls.append((f"/{path}", body))
            if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
                return JSONResponse({"error": "Unauthorized"}, 401)
            if self.moved_to is not None and not request.url.path.startswith("/moved"):
                return Response(status_code=307, headers={"location": self.moved_to + request.url.path})
            path = path.removeprefix("moved/")
            if self.refusal is not None:
                return JSONResponse({"error": {"message": self.refusal[1]}}, self.refusal[0])
            if path.endswith("completions"):
                await asyncio.sleep(self.delay_s)
            return await asyncio.to_thread(self._answer, f"/{path}", body)

        return app

    def _answer(self, path: str, body: dict[str, Any]) -> Response:
        with self._lock:
            if path == "/v1/completions":
                return self._complete(body)
            if not self.takes_adapters and path.endswith("_lora_adapter"):
                return JSONResponse({"detail": "Not Found"}, 404)
            call = path.removeprefix("/v1")
            if call == "/load_lora_adapter":
                why = self._load(body["lora_name"], body["lora_path"])
            elif call == "/unload_lora_adapter":
                why = "" if self.adapters.pop(body["lora_name"], None) else f"{body['lora_name']} cannot be found"
            else:
                return JSONResponse({"detail": "Not Found"}, 404)
            if path == call:  # SGLang's
                return JSONResponse({"success": not why, "error_message": why}, 400 if why else 200)
            return _vllm_error(400, why) if why else PlainTextResponse("Success: done.")

    def _load(self, name: str, folder: str) -> str:
        if name in self.adapters:
            return f"The lora adapter '{name}' has already been loaded."
        version = int(name.split("-")[1].removeprefix("v"))
        try:
            self._engine.load(AdapterRef(version, folder))
        except AdapterError as error:
            return str(error)
        self.adapters[name] = version
        return ""

    def _complete(self, body: dict[str, Any]) -> Response:
        if self.failures:
            self.failures -= 1
            return JSONResponse({"message": "busy"}, 503, headers={"retry-after-ms": "1"})
        name = body.get("lora_path") or body["model"]
        if name != "tiny" and name not in self.adapters:
            if "lora_path" in body:
                return JSONResponse({"error": {"message": f"LoRA adapter {name} is not loaded"}}, 400)
            return _vllm_error(404, f"The model `{name}` does not exist.")
        sampling = StudentSampling(**{key: body[key] for key in ("temperature", "top_p", "max_tokens")})
        prompt = Message(role="user", content=" ".join(str(token) for token in body["prompt"]))
        request = GenerationRequest("r", (prompt,), sampling, body["seed"], self.adapters.get(name, 0))
        self._engine._student = replace(self._engine._student, ends=tuple(body["stop_token_ids"]))
        try:
            [generation] = self._engine.generate([request])
        except GenerationError as error:
            return _vllm_error(400, str(error))
        said = generation.token_ids[: -1 if generation.finish_reason == "stop" else None]  # as vLLM leaves out its end
        text = self._student.tokenizer.decode(said, skip_special_tokens=True)
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": generation.finish_reason}
        if body.get("return_token_ids"):
            choice["token_ids"] = list(generation.token_ids)
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1, "total_tokens": 1}
        return JSONResponse(
            {"id": "c", "object": "text_completion", "created": 0, "model": name, "choices": [choice], "usage": usage}
        )


class _ReadsIds:
    """A tokenizer that reads token ids written as text, since `BatchGenerator` takes messages and a server ids."""

    chat_template = None

    def __init__(self, real: Any) -> None:
        self._real = real

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [int(word) for word in text.split()]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _vllm_error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "SomeError", "param": None, "code": status}}, status)
