"""LangChain's chat model with a short way to the wire.

ChatOpenAI has the openai library check every part of a request against each kind of message there is, build typed
objects of the reply and turn those into dicts again, in another thread. With hundreds of calls in flight that is most
of what a call costs, and openai makes every request's address, headers and options anew, which are always the same.
Here the body is sent as it was made, and read as it was received; what LangChain and openai do beside that (headers,
errors; callbacks and tracing where there are any) is left to them. Not for streaming, nor for the Responses API.
"""

import json
from collections.abc import Callable, Mapping
from ssl import SSLError
from typing import Any

import anyio
import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import var_child_runnable_config
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from .body import ErrorInReplyError, parse_body, read_body

MOST_BYTES = 100_000_000
"""Of an answer; the longest replies with the alternatives of each token have a fifth of it."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""As openai writes a body."""
About = Callable[[], RunnableConfig]
"""What listeners are told of a request; made where there are any."""


class DirectChat(ChatOpenAI):
    """Asks for a chat completion; any option may be given to `ainvoke`, and is sent as it is."""

    _sent_always: dict[str, Any] = PrivateAttr(default_factory=dict)
    """Private to keep it out of traces: it may hold secrets."""
    _blanks: dict[str, httpx2.Request] = PrivateAttr(default_factory=dict)
    """A request without a body for each path: its address and its headers."""

    def always_send(self, extra: Mapping[str, Any]) -> None:
        """From now on lay this over the body of every request."""
        self._sent_always = dict(extra)

    async def ask(self, messages: list[BaseMessage], about: About, **options: Any) -> BaseMessage:
        """Like `ainvoke`; where nobody listens to LangChain's callbacks, without all that is done for them.

        Args:
            messages: What is sent.
            about: Makes what listeners are told of it.
            options: As for `ainvoke`.
        """
        if self._heard():
            return await self.ainvoke(messages, about(), **options)
        return _whole(await self._agenerate(messages, **options))

    def _heard(self) -> bool:
        """Whether anybody listens to LangChain's callbacks."""
        within = (var_child_runnable_config.get() or {}).get("callbacks")
        if isinstance(within, BaseCallbackManager) and not self.callbacks:
            return bool(within.handlers)  # LangGraph has looked for all others when it came to the step this is within
        return bool(AsyncCallbackManager.configure(within, self.callbacks, verbose=self.verbose).handlers)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """The message as it was sent is in `additional_kwargs["sent"]`: LangChain keeps no thoughts.

        Raises openai's errors for what an endpoint refuses, ValueError and the like for a body that is no reply.
        """
        return self._read(await self._post("/chat/completions", self.body(messages, stop, **kwargs)))

    def body(self, messages: list[BaseMessage], stop: list[str] | None = None, **options: Any) -> dict[str, Any]:
        """What is sent for a chat completion."""
        body: dict[str, Any] = self._get_request_payload(messages, stop=stop) | options | self._sent_always
        del body["stream"]
        return body

    def message(self, completion: bytes) -> BaseMessage:
        """The message in a chat completion that came another way than by `ask`.

        Raises ValueError and the like for a body that is no reply.
        """
        return _whole(self._read(completion))

    def _read(self, completion: bytes) -> ChatResult:
        answer, left_out = read_body(completion)
        result = self._create_chat_result(answer)
        for generation, choice in zip(result.generations, answer["choices"], strict=True):
            generation.message.additional_kwargs["unreadable"] = dict(+left_out)
            generation.message.additional_kwargs["sent"] = choice["message"]
            if refusal := choice["message"].get("refusal"):
                generation.message.additional_kwargs["refusal"] = refusal
        return result

    async def score(self, body: Mapping[str, Any], about: About) -> dict[str, Any]:
        """The answer of the older completions endpoint, as it came; LangChain's callbacks hear of it as `ask`'s.

        Raises openai's errors, or ErrorInReplyError for a body that is none.
        """
        if self._heard():
            answer: dict[str, Any] = await RunnableLambda(self._score).ainvoke(body, about())
            return answer
        return await self._score(body)

    async def _score(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return parse_body(await self._post("/completions", {"model": self.model_name, **body}))

    async def _post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The content of an answer. Raises openai's errors."""
        connections: httpx2.AsyncClient | None = self.http_async_client
        assert connections is not None, "it is made with a client"
        blank = self._blanks.get(path) or self._blank(path, connections)
        # The body as a stream, since httpx2 else looks through all headers, which are known, for what may be missing.
        content = _JSON(body).encode()
        headers = [*blank.headers.raw, (b"Content-Length", b"%d" % len(content))]
        cookies, stream = connections.cookies, httpx2.ByteStream(content)
        request = httpx2.Request("POST", blank.url, headers=headers, cookies=cookies, stream=stream)
        request.headers.encoding = blank.headers.encoding
        request.read()
        try:
            response = await connections.send(request, stream=True)
            content = await _content(response)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except (httpx2.RequestError, SSLError, anyio.EndOfStream) as error:
            raise openai.APIConnectionError(request=request) from error
        if not response.is_success:
            decoded = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
            read = httpx2.Response(response.status_code, headers=decoded, content=content, request=request)
            raise self.root_async_client._make_status_error_from_response(read)
        return content

    def _blank(self, path: str, connections: httpx2.AsyncClient) -> httpx2.Request:
        client = self.root_async_client
        headers = {
            name: value
            for name, value in {**client.auth_headers, **client.default_headers}.items()
            if isinstance(value, str)
        }
        blank = connections.build_request("POST", f"{self.openai_api_base}{path}", headers=headers)
        del blank.headers["Content-Length"]
        return self._blanks.setdefault(path, blank)


async def _content(response: httpx2.Response) -> bytes:
    """The content of an answer. Raises ErrorInReplyError for one without end, before it fills the memory."""
    parts, size = list[bytes](), 0
    try:
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise ErrorInReplyError(f"its answer has more than {MOST_BYTES:,} bytes")
    finally:
        await response.aclose()
    return b"".join(parts)


def _whole(result: ChatResult) -> BaseMessage:
    """The message of a result, with what stands around it."""
    [generation] = result.generations
    message = generation.message
    known = (result.llm_output or {}) | (generation.generation_info or {})
    message.response_metadata = known | message.response_metadata
    return message
