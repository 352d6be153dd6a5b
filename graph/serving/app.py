"""The HTTP side of `openmic serve`: OpenAI's chat completions and list of models.

    /v1/chat/completions              the conversation as it is sent
    /v1/tasks/NAME/chat/completions   an input, with the task's prompts before it and its cleaning behind it

Without a token it answers no web page: neither one of another site, nor one whose name was made to point here. It knows
nothing of sockets and processes (`server`).
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ...core.endpoints.own_names import OwnNames
from ...core.errors import GenerationError, OpenmicError, StudentChangedError, StudentError
from ...core.records import Generation, Message
from ...training.engines.engine import CLOSED
from ...training.student.published import without_place
from .asked import asked_of_task
from .protocol import (
    ChatRequest,
    Choice,
    Growing,
    RequestError,
    chunk,
    completion,
    cut,
    error_body,
    last_chunk,
    read_request,
)
from .students import Students

logger = logging.getLogger(__name__)
OWNER = "openmic"
MOST_BYTES = 4_000_000
"""Of a body."""
T = TypeVar("T")
_NOBODY_LISTENS = 499


def build_app(
    opened: Callable[[], Awaitable[Students]], *, token: str | None = None, hosts: Collection[str] | None = None
) -> FastAPI:
    """The application.

    Args:
        opened: Loads the students, when the server starts.
        token: What every request must bear; None asks for none.
        hosts: Names that the Host header may have, so that no other site's name can be made to point here; None: any.
    """
    students: list[Students] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        students.append(await opened())
        yield
        await students.pop().close()

    app = FastAPI(title="openmic", lifespan=lifespan, openapi_url=None)

    app.add_middleware(_Guard, token=token, hosts=hosts)

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_NOBODY_LISTENS)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def unknown(request: Request, error: Any) -> JSONResponse:
        message = f"there is no {request.method} {request.url.path} here"
        return JSONResponse(error_body(message, code="unknown_url"), error.status_code)

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    @app.get("/v1/tasks/{task:path}/models")
    async def models(task: str | None = None) -> dict[str, Any]:
        [served] = students
        _named(served, task)
        return {"object": "list", "data": [_card(served, name) for name in served.served.models]}

    @app.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        [served] = students
        _version(served, model)
        return _card(served, model)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = read_request(await _body(request))
        return await _respond(students[0], request, asked, asked.conversation(), cleaned=False)

    @app.post("/v1/tasks/{task:path}/chat/completions")
    async def chat_of_task(request: Request, task: str) -> Response:
        [served] = students
        _named(served, task)
        asked = read_request(await _body(request))
        conversation = asked_of_task(served.served.task, asked.conversation())
        return await _respond(served, request, asked, conversation, cleaned=True)

    return app


async def _body(request: Request) -> bytes:
    """The body of a request. Raises RequestError for one that is larger than any conversation with a student."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > MOST_BYTES:
            raise RequestError(f"the body has more than {MOST_BYTES:,} bytes", status=413, code="request_too_large")
    return bytes(read)


class _Guard:
    """The middleware that answers in place of the application what may not get to it."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None) -> None:
        self._app, self._token, self._own = app, token, OwnNames(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        refusal = _refusal(Request(scope), self._token, self._own) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def _refusal(request: Request, token: str | None, own: OwnNames) -> Response | None:
    host = request.headers.get("host", "")
    if not own.include(host):
        return JSONResponse(error_body(f"this server is not called {host!r}", code="wrong_host"), 403)
    if token is None:
        # A page cannot leave its origin out, and what is no page may. Where there is a token, no page knows it.
        origin = request.headers.get("origin")
        if origin is None or own.may_send(request.method, origin, host):
            return None
        message = f"pages of {origin!r} may not ask; give the server a token (--token), and them"
        return JSONResponse(error_body(message, code="wrong_origin"), 403)
    if request.url.path == "/healthz":
        return None
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if secrets.compare_digest(given.encode(), token.encode()):
        return None
    return JSONResponse(error_body("incorrect API key: give the server's token as one", code="invalid_api_key"), 401)


def _named(students: Students, task: str | None) -> None:
    ours = students.served.task.name
    if task not in {None, ours}:
        raise RequestError(f"there is no task {task!r} here, only {ours!r}", status=404, code="task_not_found")


def _version(students: Students, model: str) -> int:
    models = students.served.models
    if model not in models:
        there = ", ".join(models)
        raise RequestError(
            f"the model {model!r} does not exist; there are {there}", status=404, code="model_not_found", param="model"
        )
    return models[model]


def _card(students: Students, name: str) -> dict[str, Any]:
    served = students.served
    return {"id": name, "object": "model", "created": served.created, "owned_by": OWNER}


async def _respond(
    students: Students, request: Request, asked: ChatRequest, messages: tuple[Message, ...], *, cleaned: bool
) -> Response:
    version = _version(students, asked.model)
    if asked.stream:
        return StreamingResponse(
            _events(students, asked, version, messages, cleaned=cleaned), media_type="text/event-stream"
        )
    try:
        said = await _while_listened_to(request, _answers(students, asked, version, messages))
        if said is None:
            return Response(status_code=_NOBODY_LISTENS)
        choices = [_choice(students, asked, one, cleaned=cleaned) for one in said]
    except OpenmicError as error:
        status, body = _failure(students, error)
        return JSONResponse(body, status)
    return JSONResponse(completion(_name(), asked.model, int(time.time()), choices))


async def _while_listened_to(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What work comes to; None where whoever asked has hung up meanwhile, and it was given up."""

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":  # its body was read before
            pass

    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(hung_up())
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        gone.cancel()


async def _answers(
    students: Students,
    asked: ChatRequest,
    version: int,
    messages: tuple[Message, ...],
    on_text: Callable[[int, str], None] | None = None,
) -> list[Generation]:
    sampling = asked.sampling(students.served.config.evaluation.sampling)
    return await students.answer(version, messages, sampling, asked.seed, asked.n or 1, on_text)


def _choice(students: Students, asked: ChatRequest, said: Generation, *, cleaned: bool) -> Choice:
    text, stopped = cut(said.text, asked.stops)
    return Choice.of(said, students.served.task.clean(text) if cleaned else text, stopped=stopped)


async def _events(
    students: Students, asked: ChatRequest, version: int, messages: tuple[Message, ...], *, cleaned: bool
) -> AsyncIterator[str]:
    """The answer as server-sent events. A task's is cleaned, and so told when it is whole."""
    name, created, count = _name(), int(time.time()), asked.n or 1
    heard: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
    growing = [Growing(asked.stops) for _ in range(count)]
    on_text = None if cleaned else lambda place, text: heard.put_nowait((place, text))
    answers = asyncio.ensure_future(_answers(students, asked, version, messages, on_text))
    answers.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        for place in range(count):
            yield _event(chunk(name, asked.model, created, place, {"role": "assistant", "content": ""}))
        while (news := await heard.get()) is not None:
            place, text = news
            if piece := growing[place].piece(text):
                yield _event(chunk(name, asked.model, created, place, {"content": piece}))
        choices = [_choice(students, asked, one, cleaned=cleaned) for one in answers.result()]
        for place, choice in enumerate(choices):
            if piece := growing[place].piece(choice.text, whole=True):
                yield _event(chunk(name, asked.model, created, place, {"content": piece}))
            yield _event(chunk(name, asked.model, created, place, {}, choice.reason))
        if asked.stream_options is not None and asked.stream_options.include_usage:
            yield _event(last_chunk(name, asked.model, created, choices))
    except OpenmicError as error:
        yield _event(_failure(students, error)[1])
    finally:
        answers.cancel()  # whoever listened is gone
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _failure(students: Students, error: OpenmicError) -> tuple[int, dict[str, Any]]:
    """What is answered where the student cannot: the request's own fault, or the server's.

    Nobody is told where anything lies on this machine: that is for whoever runs the server.
    """
    if isinstance(error, StudentChangedError):  # an engine's own server reads them anew when it is started again
        logger.error("nothing is answered any more: %s", error)
        return 503, error_body(_without_places(students, error), code="student_changed", kind="server_error")
    # A template that refuses a conversation is told of the student; its weights were loaded long before.
    if isinstance(error, GenerationError | StudentError) and str(error) != CLOSED:
        return 400, error_body(_without_places(students, error), code="cannot_be_answered")
    logger.error("a request could not be answered: %s", error)
    return 500, error_body("the student cannot answer; the server says why", code="server_error", kind="server_error")


def _without_places(students: Students, error: OpenmicError) -> str:
    model = students.served.config.student.model
    return str(error).replace(model, without_place(model))


def _name() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
