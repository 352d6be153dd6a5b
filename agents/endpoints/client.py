"""The client for any OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI (`openai_chat`).

Adds what a long run needs: retries with backoff that honour Retry-After, a cap on calls in flight, limits on requests
and tokens per minute, and doing without what an endpoint refuses (`openai_options`). A prompt is scored by the older
completions endpoint, with `echo`: chat completions give no log-probabilities of the prompt.
"""

import asyncio
import random
import time

import httpx2
import openai
from aiolimiter import AsyncLimiter
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from openai.types import Completion
from pydantic import SecretStr

from ...core.config import EndpointSettings
from ...core.errors import EndpointError
from ...core.records import LLMReply, LLMRequest, Message
from .access import Access
from .chat import DirectChat
from .options import REFUSALS, RequestOptions
from .replies import chat_reply, scored_prompt, with_earlier
from .room import Room

BACKOFF_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
CHARACTERS_PER_TOKEN = 4
"""For the tokens-per-minute limit alone, which has to be charged before the endpoint has counted."""

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""How DirectChat reports a body that it cannot read."""
_MAY_PASS = (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError, *_UNREADABLE)
"""What is worth another attempt. A time-out is a kind of connection error."""
_CANNOT_SCORE = frozenset({400, 404, 405, 422, 501})
"""How a server answers that has no completions endpoint, or one without `echo`."""


class OpenAIClient:
    """One role's endpoint. Use from one event loop; close when done."""

    def __init__(self, settings: EndpointSettings, *, base_url: str | None = None) -> None:
        self._settings = settings
        access = Access.of(settings, base_url)
        # aiohttp below, since what a call costs httpx2's own transport grows with the number in flight.
        # It knows no SOCKS proxies.
        connecting = access.connecting
        socks = str(connecting["proxy"]).startswith("socks")
        client = openai.DefaultAsyncHttpxClient if socks else openai.DefaultAioHttpClient
        self._connections = client(
            timeout=settings.timeout_s,
            limits=httpx2.Limits(max_connections=settings.max_concurrency),
            event_hooks={"request": [access.sign]},
            **connecting,
        )
        self._chat = DirectChat(
            model=settings.model,
            base_url=access.url,
            api_key=SecretStr(access.key or "none"),
            timeout=settings.timeout_s,
            max_retries=0,
            use_responses_api=False,
            disable_streaming=True,
            http_async_client=self._connections,
        )
        self._chat.always_send(access.extra_body)
        self._url = self._chat.openai_api_base
        self._in_flight = asyncio.Semaphore(settings.max_concurrency)
        self._requests = _per_minute(settings.requests_per_minute)
        self._tokens = _per_minute(settings.tokens_per_minute)
        self._options = RequestOptions(settings.reasoning_effort)
        self._room = Room()
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
                    return await (self._score if request.score_prompt else self._converse)(request, began, attempt)
                except (openai.OpenAIError, *_UNREADABLE) as error:
                    if request.score_prompt and getattr(error, "status_code", None) in _CANNOT_SCORE:
                        raise self._cannot_score(request, str(error)) from error
                    if attempt == self._settings.max_retries or not isinstance(error, _MAY_PASS):
                        raise self._failure(request, error, attempt) from error
                    await asyncio.sleep(_wait_seconds(error, attempt))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def _converse(self, request: LLMRequest, began: float, retries: int) -> LLMReply:
        """One attempt; an option the endpoint refuses is left out, now and from now on.

        A reply that is thought alone is asked for again with more room, and so are its successors.
        """
        earlier: list[LLMReply] = []
        while True:
            had, options = self._room.tokens, self._room.widen(self._options.of(request))
            try:
                message = await self._chat.ainvoke(_messages(request.messages), **options)
            except REFUSALS as error:
                if not (self._options.learn(error, options) or self._room.give_back(error, had)):
                    raise
                continue
            assert isinstance(message, AIMessage)
            reply = chat_reply(request, message, _ms_since(began), retries, self._options.left_out)
            if not self._room.wants_more(reply, had):
                return with_earlier(reply, earlier)
            earlier.append(reply)

    async def _score(self, request: LLMRequest, began: float, retries: int) -> LLMReply:
        """One attempt at the log-probabilities of a prompt. Servers refuse to write no token at all, so one is."""
        client: openai.AsyncOpenAI = self._chat.root_async_client
        completion: Completion = await client.completions.create(
            model=self._settings.model,
            prompt="\n".join(message.content for message in request.messages),
            echo=True,
            logprobs=1,
            max_tokens=1,
            temperature=0.0,
        )
        reply = scored_prompt(request, completion, _ms_since(began), retries)
        if reply is None:
            raise self._cannot_score(request, "it sent no log-probabilities of the prompt")
        return reply

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
            f"the {request.role}'s endpoint {self._url} did not answer for model {request.model!r} "
            f"after {tries}: {reason}"
        )

    def _cannot_score(self, request: LLMRequest, reason: str) -> EndpointError:
        return EndpointError(
            f"the {request.role}'s endpoint {self._url} does not score prompts with model "
            f"{request.model!r}; cloze verdicts need one that does (completions with `echo` and `logprobs`): set "
            f"verdict.style to label or reason, or name another endpoint; it said: {reason}"
        )


def _per_minute(limit: int | None) -> AsyncLimiter | None:
    return AsyncLimiter(limit, 60) if limit is not None else None


def _messages(messages: tuple[Message, ...]) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in messages]


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


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
