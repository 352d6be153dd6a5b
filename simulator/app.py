"""The HTTP side of the simulated cast: an OpenAI-compatible application.

What it answers with status 200 is a function of the server's seed and the request's body alone. It knows nothing of
sockets and processes (`server.py`).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from ..core.ids import content_hash
from . import protocol
from .cloze import CompletionRequest, score
from .faults import UNANSWERED, Turnstile, befalls, delay_s, error_in_reply, filtered, mishap, refusal
from .journal import Journal
from .prompts import Kind
from .replies import answer, understand
from .settings import SimulatorSettings
from .skills import MODELS

OWNER = "openmic-simulated"
_NOT_ANSWERED = 499
_WRONG_KEY = protocol.error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    kind: Kind | None = None
    fault: str | None = None
    """The fault that befell the attempt."""


_Form = TypeVar("_Form", protocol.ChatRequest, CompletionRequest)
_Replier = Callable[[Any, str, str | None], Awaitable[_Reply]]


class _Cast:
    """Answers requests one by one; holds the little there is to remember between them."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._turnstile = Turnstile(settings)

    def lets_in(self, authorization: str | None) -> bool:
        """Whether a request with this header may be answered."""
        return self._settings.api_key is None or authorization == f"Bearer {self._settings.api_key}"

    async def chat(self, body: Any, request_hash: str, authorization: str | None) -> _Reply:
        """The reply to the body of a chat, after the time that it takes."""
        request = self._read(protocol.ChatRequest, body, authorization)
        if isinstance(request, _Reply):
            return request
        key = content_hash([self._settings.seed, request_hash])
        _, kind = understand(request)

        def reply() -> dict[str, Any]:
            return protocol.completion(request, key, answer(request, key, self._settings))

        return await self._reply(key, request.model, kind, reply)

    async def completion(self, body: Any, request_hash: str, authorization: str | None) -> _Reply:
        """The reply to a prompt that is to be scored, after the time that it takes."""
        request = self._read(CompletionRequest, body, authorization)
        if isinstance(request, _Reply):
            return request
        key = content_hash([self._settings.seed, request_hash])
        return await self._reply(key, request.model, "score", lambda: score(request, key, self._settings))

    def _read(self, form: type[_Form], body: Any, authorization: str | None) -> "_Form | _Reply":
        """The request that a body is, or why it is none that can be answered."""
        if not self.lets_in(authorization):
            return _Reply(401, _WRONG_KEY)
        try:
            request = form.model_validate(body)
        except ValidationError as error:
            return _Reply(400, _explain(error))
        if request.stream:
            message = "This server does not stream; send the request with stream=false."
            return _Reply(400, protocol.error(message, "invalid_request_error", "unsupported_value", "stream"))
        if request.model not in MODELS:
            message = f"The model {request.model!r} does not exist; there are {', '.join(MODELS)}."
            not_found = protocol.error(message, "invalid_request_error", "model_not_found", "model")
            return _Reply(404, not_found, model=request.model)
        return request

    async def _reply(self, key: str, model: str, kind: Kind | None, answer: Callable[[], dict[str, Any]]) -> _Reply:
        """The answer, or what befalls the attempt in its place, after the time that it takes."""
        await asyncio.sleep(delay_s(self._settings, key))
        fault = self._turnstile.admit(key)
        if fault is None and befalls("filtered", self._settings, key):
            return _Reply(400, filtered(), model=model, kind=kind, fault="filtered")
        if fault is None:
            return _Reply(200, answer(), model=model, kind=kind)
        if fault in UNANSWERED:
            body = error_in_reply() if fault == "error_in_200" else answer()
            return _Reply(200, body, model=model, kind=kind, fault=fault)
        status, body, headers = refusal(fault, self._settings.retry_after_s)
        return _Reply(status, body, headers, model, kind, fault)


def build_app(settings: SimulatorSettings, log: Path | None = None) -> FastAPI:
    """The application.

    Args:
        settings: How the cast shall behave.
        log: A file that gets one line of JSON for each request to a model; it is appended to.

    Raises:
        ConfigError: The log cannot be written.
    """
    cast = _Cast(settings)
    journal = Journal(log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        journal.close()

    app = FastAPI(title="openmic simulated cast", lifespan=lifespan)

    async def respond(request: Request, reply_to: _Replier) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
            request_hash = content_hash(protocol.said_once(body))
        except (ValueError, RecursionError):
            request_hash = content_hash(raw.decode(errors="replace"))
            reply = _Reply(400, protocol.error("The body is not valid JSON.", "invalid_request_error"))
        else:
            reply = await reply_to(body, request_hash, request.headers.get("authorization"))
        spoiled = reply.fault in UNANSWERED
        status = _NOT_ANSWERED if spoiled or await request.is_disconnected() else reply.status
        journal.record(request_hash, reply.model, reply.kind, status, reply.fault)
        if reply.fault is not None and spoiled:
            return mishap(reply.fault, reply.body, request)
        return JSONResponse(reply.body, reply.status, reply.headers)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await respond(request, cast.chat)

    @app.post("/v1/completions")
    async def completion(request: Request) -> Response:
        return await respond(request, cast.completion)

    @app.get("/v1/models")
    async def models(request: Request) -> JSONResponse:
        if not cast.lets_in(request.headers.get("authorization")):
            return JSONResponse(_WRONG_KEY, 401)
        rows = [{"id": name, "object": "model", "created": 0, "owned_by": OWNER} for name in MODELS]
        return JSONResponse({"object": "list", "data": rows})

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _explain(error: ValidationError) -> dict[str, Any]:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or None
    return protocol.error(f"{place or 'body'}: {first['msg']}", "invalid_request_error", "invalid_value", place)
