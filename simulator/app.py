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
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from ..core.ids import content_hash
from . import protocol
from .cloze import CompletionRequest, score
from .faults import Mishap, Turnstile, delay_s
from .journal import Journal
from .prompts import Kind
from .replies import answer, understand
from .settings import SimulatorSettings
from .skills import MODELS

OWNER = "openmic-simulated"
_NOBODY_WAITS = 499
_WRONG_KEY = protocol.error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    kind: Kind | None = None


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
        turned_away = await self._wait(key, request.model, kind)
        if turned_away is not None:
            return turned_away
        choices = answer(request, key, self._settings)
        completion = protocol.completion(request, key, choices)
        return _Reply(200, completion, model=request.model, kind=kind)

    async def completion(self, body: Any, request_hash: str, authorization: str | None) -> _Reply:
        """The reply to a prompt that is to be scored, after the time that it takes."""
        request = self._read(CompletionRequest, body, authorization)
        if isinstance(request, _Reply):
            return request
        key = content_hash([self._settings.seed, request_hash])
        turned_away = await self._wait(key, request.model, "score")
        if turned_away is not None:
            return turned_away
        return _Reply(200, score(request, key, self._settings), model=request.model, kind="score")

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

    async def _wait(self, key: str, model: str, kind: Kind | None) -> _Reply | None:
        """Takes the time that an answer takes; a reply if the request is turned away after it."""
        await asyncio.sleep(delay_s(self._settings, key))
        mishap = self._turnstile.admit(key)
        return None if mishap is None else self._turned_away(mishap, model, kind)

    def _turned_away(self, mishap: Mishap, model: str, kind: Kind | None) -> _Reply:
        if mishap == "error":
            body = protocol.error("The server had an error while processing your request.", "server_error")
            return _Reply(500, body, model=model, kind=kind)
        body = protocol.error("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded")
        return _Reply(429, body, {"Retry-After": f"{self._settings.retry_after_s:g}"}, model, kind)


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

    async def respond(request: Request, reply_to: _Replier) -> JSONResponse:
        raw = await request.body()
        try:
            body = json.loads(raw)
            request_hash = content_hash(protocol.said_once(body))
        except (ValueError, RecursionError):
            request_hash = content_hash(raw.decode(errors="replace"))
            reply = _Reply(400, protocol.error("The body is not valid JSON.", "invalid_request_error"))
        else:
            reply = await reply_to(body, request_hash, request.headers.get("authorization"))
        gone = await request.is_disconnected()
        journal.record(request_hash, reply.model, reply.kind, _NOBODY_WAITS if gone else reply.status)
        return JSONResponse(reply.body, reply.status, reply.headers)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        return await respond(request, cast.chat)

    @app.post("/v1/completions")
    async def completion(request: Request) -> JSONResponse:
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
