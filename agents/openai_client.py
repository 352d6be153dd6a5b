"""The client for any OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI.

Adds what a long run needs: retries with backoff that honour Retry-After, a cap on calls in flight, limits on requests
and tokens per minute, and doing without what an endpoint refuses (log-probabilities, JSON schemas).
"""

import asyncio
import os
import random
import time
from typing import Any

import httpx
import openai
from aiolimiter import AsyncLimiter
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from ..core.config import EndpointSettings
from ..core.errors import EndpointError
from ..core.records import LLMReply, LLMRequest, Message, TokenUsage

OPENAI_URL = "https://api.openai.com/v1"
LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""Never reached through a proxy, whatever HTTP_PROXY says: the proxy's own loopback is another machine's."""
BACKOFF_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
CHARACTERS_PER_TOKEN = 4
"""For the tokens-per-minute limit alone, which has to be charged before the endpoint has counted."""

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""How ChatOpenAI reports a body that it cannot read."""
_RETRIED = (openai.RateLimitError, openai.InternalServerError, openai.APITimeoutError, openai.APIConnectionError)


def endpoint_url(settings: EndpointSettings) -> str:
    """Where the role's endpoint is: its own base_url, else OPENAI_BASE_URL, else OpenAI."""
    return (settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")


def endpoint_key(settings: EndpointSettings) -> str | None:
    """The key from the environment, or None. Space around it, such as a copied line's end, is no part of it."""
    return os.environ.get(settings.api_key_env, "").strip() or None


class OpenAIClient:
    """One role's endpoint. Use from one event loop; close when done."""

    def __init__(self, settings: EndpointSettings, *, base_url: str | None = None) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(
            timeout=settings.timeout_s, limits=httpx.Limits(max_connections=None), mounts=dict.fromkeys(LOOPBACK)
        )
        self._chat = ChatOpenAI(
            model=settings.model,
            base_url=base_url or endpoint_url(settings),
            api_key=SecretStr(endpoint_key(settings) or "none"),
            timeout=settings.timeout_s,
            max_retries=0,
            use_responses_api=False,
            disable_streaming=True,
            http_async_client=self._http,
        )
        self._in_flight = asyncio.Semaphore(settings.max_concurrency)
        self._requests = _per_minute(settings.requests_per_minute)
        self._tokens = _per_minute(settings.tokens_per_minute)
        self._refused: set[str] = set()
        self._stopped = False

    def stop_asking(self) -> None:
        """From now on calls that wait for their turn, or for another attempt, end with EndpointError."""
        self._stopped = True

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The endpoint's reply.

        Raises:
            EndpointError: after `max_retries` further attempts, or at once for what no retry can mend.
        """
        async with self._in_flight:
            began = time.monotonic()
            for attempt in range(self._settings.max_retries + 1):
                await self._wait_for_limits(request)
                if self._stopped:
                    raise EndpointError(f"the {request.role} was not asked: the run is ending")
                try:
                    message = await self._ask(request)
                    return _reply(request, message, (time.monotonic() - began) * 1000, attempt)
                except _RETRIED as error:
                    if attempt == self._settings.max_retries:
                        raise self._failure(request, error, attempt) from error
                    await asyncio.sleep(_wait_seconds(error, attempt))
                except openai.APIError as error:
                    raise self._failure(request, error, attempt) from error
                except _UNREADABLE as error:
                    if attempt == self._settings.max_retries:
                        raise self._failure(request, error, attempt) from error
                    await asyncio.sleep(_wait_seconds(error, attempt))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, request: LLMRequest) -> AIMessage:
        """One attempt; an option the endpoint refuses is left out, now and from now on."""
        while True:
            options = self._options(request)
            try:
                message = await self._chat.ainvoke(_messages(request.messages), **options)
            except openai.BadRequestError as error:
                # Among the options this attempt was sent with: a call beside it may have left the same one out by now.
                refused = _refused_option(error, options)
                if refused is None:
                    raise
                self._refused.add(refused)
                continue
            assert isinstance(message, AIMessage)
            return message

    def _options(self, request: LLMRequest) -> dict[str, Any]:
        options: dict[str, Any] = {
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": request.sampling.max_tokens,
            "seed": request.seed,
        }
        if request.top_logprobs is not None:
            options |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        if "logprobs" in self._refused or "top_logprobs" in self._refused:
            options = {name: value for name, value in options.items() if name not in {"logprobs", "top_logprobs"}}
        return {name: value for name, value in options.items() if name not in self._refused}

    async def _wait_for_limits(self, request: LLMRequest) -> None:
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            prompt = sum(len(message.content) for message in request.messages) // CHARACTERS_PER_TOKEN
            await self._tokens.acquire(min(prompt + request.sampling.max_tokens, self._tokens.max_rate))

    def _failure(self, request: LLMRequest, error: Exception, attempt: int) -> EndpointError:
        tries = "1 attempt" if attempt == 0 else f"{attempt + 1} attempts"
        reason = str(error).strip() or type(error).__name__
        return EndpointError(
            f"the {request.role}'s endpoint {self._chat.openai_api_base} did not answer for model {request.model!r} "
            f"after {tries}: {reason}"
        )


def _per_minute(limit: int | None) -> AsyncLimiter | None:
    return AsyncLimiter(limit, 60) if limit is not None else None


def _messages(messages: tuple[Message, ...]) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in messages]


def _refused_option(error: openai.BadRequestError, options: dict[str, Any]) -> str | None:
    """The option that a 400 is about, if it is one a request can do without."""
    text = str(error)
    return next(
        (name for name in ("top_logprobs", "logprobs", "response_format", "seed") if name in options and name in text),
        None,
    )


def _wait_seconds(error: Exception, attempt: int) -> float:
    """What the endpoint asks for, else exponential backoff with jitter."""
    response = getattr(error, "response", None)
    header = response.headers.get("retry-after") if response is not None else None
    try:
        asked = float(header) if header else None
    except ValueError:  # an HTTP date: rare, and backoff serves as well
        asked = None
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_WAIT_SECONDS)
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards no secret
    return min(BACKOFF_SECONDS * 2.0**attempt * jitter, LONGEST_WAIT_SECONDS)


def _reply(request: LLMRequest, message: AIMessage, latency_ms: float, retries: int) -> LLMReply:
    metadata = message.response_metadata
    usage = message.usage_metadata
    text = message.content if isinstance(message.content, str) else str(message.text)
    text = text.encode(errors="replace").decode()  # half of a surrogate pair could be neither stored nor sent again
    return LLMReply(
        text=text,
        model=str(metadata.get("model_name") or request.model),
        finish_reason=metadata.get("finish_reason"),
        usage=TokenUsage(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage.get("input_token_details", {}).get("cache_read") or 0,
            reasoning=usage.get("output_token_details", {}).get("reasoning") or 0,
        )
        if usage
        else TokenUsage(),
        latency_ms=latency_ms,
        retries=retries,
        first_token_logprobs=_first_token_logprobs(metadata.get("logprobs")),
        raw={"content": text, "response_metadata": metadata, "additional_kwargs": message.additional_kwargs},
    )


def _first_token_logprobs(logprobs: Any) -> dict[str, float] | None:
    content = (logprobs or {}).get("content") or []
    alternatives = content[0].get("top_logprobs") if content else None
    return {item["token"]: float(item["logprob"]) for item in alternatives} if alternatives else None
