"""The client for any OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI (`chat`).

Adds what a long run needs: asking again what may pass, for as long as the endpoint says or patience lasts (`failures`,
`waits`), a cap on calls in flight, limits on requests and tokens per minute, and doing without what an endpoint refuses
(`options`). A prompt is scored by the older completions endpoint, with `echo`: chat completions give no
log-probabilities of the prompt.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import NoReturn, TypeVar

import httpx2
import openai
from aiolimiter import AsyncLimiter
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import SecretStr

from ...core.config import EndpointSettings
from ...core.errors import EndpointError, EndpointLostError
from ...core.records import LLMReply, LLMRequest, Message
from ...core.text import rough_tokens
from .access import Access
from .body import ErrorInReplyError
from .chat import DirectChat
from .failures import TROUBLE, Failure, Kind, read_failure
from .gate import Tell, spoken, unheard
from .known import Known
from .options import REFUSALS, RequestOptions
from .replies import chat_reply, scored_prompt, with_earlier
from .waits import wait_before

T = TypeVar("T")
LONGEST_PAUSE_S = 24 * 3600.0
"""An endpoint that asks to be left alone for longer than this is not waited for."""
_CANNOT_SCORE = frozenset({400, 404, 405, 422, 501})
"""How a server answers that has no completions endpoint, or one without `echo`."""


class OpenAIClient:
    """One role's endpoint. Use from one event loop; close when done.

    Args:
        settings: The role's endpoint.
        base_url: Stands for the address in the settings.
        known: What is shared with other clients of the same endpoint's model.
        tell: Where a line goes that whoever watches should read.
        samples: Labels that are sampled in each order of a comparison where there are no log-probabilities.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        base_url: str | None = None,
        known: Known | None = None,
        tell: Tell = unheard,
        samples: int = 1,
    ) -> None:
        self._settings, self._tell_all, self._samples = settings, tell, samples
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
        self._url, self._access = access.url, access
        self._in_flight = asyncio.Semaphore(settings.max_concurrency)
        self._requests = _per_minute(settings.requests_per_minute)
        self._tokens = _per_minute(settings.tokens_per_minute)
        self._known = known or Known(RequestOptions(access.url))
        self._trying_again: dict[object, str] = {}
        self._held_up = set[object]()
        self._role = ""

    @property
    def trouble(self) -> str:
        """What calls are waiting for that have to be made again, in one line; empty where none is."""
        pausing = self._known.gate.pausing
        if not self._trying_again and not pausing:
            return ""
        reason = pausing or f"{next(reversed(self._trying_again.values()))}; trying again"
        return f"{self._name}: {reason} ({len(self._trying_again.keys() | self._held_up)} waiting)"

    def stop_asking(self) -> None:
        """From now on calls that wait for their turn, or for another attempt, end with EndpointError."""
        self._known.gate.stop()

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The endpoint's reply.

        Raises:
            EndpointError: this request is refused, or `max_retries` further attempts did not help.
            EndpointLostError: no request will be answered until a person mends something.
        """
        self._role = request.role
        async with self._in_flight:
            began, call = time.monotonic(), object()
            try:
                for attempt in range(self._settings.max_retries + 1):
                    await self._turn(request, call)
                    try:
                        return await (self._score if request.score_prompt else self._converse)(request, began, attempt)
                    except TROUBLE as error:
                        failure = self._read(request, error)
                        if failure.kind is not Kind.PASSES or attempt == self._settings.max_retries:
                            self._give_up(request, failure, attempt + 1, began, error)
                    self._trying_again[call] = failure.reason
                    await self._wait(failure, attempt)
            finally:
                self._trying_again.pop(call, None)
                self._held_up.discard(call)
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def _turn(self, request: LLMRequest, call: object) -> None:
        """Wait until the request may be sent: no pause is left, and it has its share of the minute's limits."""
        gate = self._known.gate
        while True:
            self._held_up.add(call)
            await gate.passed()
            self._held_up.discard(call)
            if self._requests is not None or self._tokens is not None:
                await gate.unless_stopped(self._share(request))
            if gate.stopped or not gate.pausing:  # what was taken before a pause would all be spent at its end
                break
        if gate.lost:
            raise EndpointLostError(gate.lost)
        if gate.stopped:
            raise EndpointError(f"the {request.role} was not asked: the run is ending")

    async def _share(self, request: LLMRequest) -> None:
        """Take what a request takes of the minute's limits, once there is as much."""
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            prompt = sum(rough_tokens(message.content) for message in request.messages)
            await self._tokens.acquire(min(prompt + request.sampling.max_tokens, self._tokens.max_rate))

    async def _in_time(self, call: Awaitable[T]) -> T:
        """The call, bounded as a whole: a server may send its answer a byte at a time."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await call
        except TimeoutError:
            raise TimeoutError(f"no reply within {self._settings.timeout_s:g} s (timeout_s)") from None
        self._known.gate.answered()
        return answer

    async def _converse(self, request: LLMRequest, began: float, retries: int) -> LLMReply:
        """A reply; an option the endpoint refuses is left out, now and from now on.

        A reply that is thought alone is asked for again with more room, and so are its successors.
        """
        options, room, effort = self._known.options, self._known.room, self._settings.reasoning_effort
        earlier: list[LLMReply] = []
        while True:
            had, asked = room.tokens, options.of(request, effort)
            sent = room.widen(dict(asked.options))
            try:
                message = await self._in_time(self._chat.ainvoke(_messages(asked.messages), **sent))
            except REFUSALS as error:
                if read_failure(error).kind is Kind.STOP:
                    raise
                if not (options.learn(error, request, asked, effort) or room.give_back(error, had)):
                    raise
                continue
            options.worked(asked)
            assert isinstance(message, AIMessage)
            reply = chat_reply(request, message, _ms_since(began), retries, options.left_out)
            reply = self._known.seen(request, reply, asked.cap + had, self._samples, self._tell)
            if not room.wants_more(reply, had):
                return with_earlier(reply, earlier)
            earlier.append(reply)

    async def _score(self, request: LLMRequest, began: float, retries: int) -> LLMReply:
        """The log-probabilities of a prompt. Servers refuse to write no token at all, so one is."""
        prompt = "\n".join(message.content for message in request.messages)
        body = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        reply = scored_prompt(request, await self._in_time(self._chat.score(body)), _ms_since(began), retries)
        if reply is None:
            why = "it sent no log-probabilities of the prompt"
            raise self._cannot_score(request, why) from ErrorInReplyError(why)
        return reply

    def _read(self, request: LLMRequest, error: Exception) -> Failure:
        failure = read_failure(error)
        failure = replace(failure, reason=self._access.redacted(failure.reason))
        if failure.kind is Kind.PASSES and failure.wait_s is not None and failure.wait_s > LONGEST_PAUSE_S:
            asks = f"it asks to wait {spoken(failure.wait_s)}: {failure.reason}"
            failure = replace(failure, kind=Kind.STOP, reason=asks)
        if request.score_prompt and failure.status in _CANNOT_SCORE:
            raise self._cannot_score(request, failure.reason) from error
        if failure.status is not None and not failure.down:
            self._known.gate.answered()
        return failure

    async def _wait(self, failure: Failure, attempt: int) -> None:
        """Wait before another attempt. Where the endpoint says how long, all who ask it wait."""
        gate, seconds = self._known.gate, wait_before(attempt, failure.wait_s)
        if failure.wait_s is not None:
            gate.pause(seconds, failure.reason, self._tell)
        await gate.sleep(seconds)

    def _give_up(
        self, request: LLMRequest, failure: Failure, attempts: int, began: float, error: Exception
    ) -> NoReturn:
        """Raise what ends the item, or the run: an endpoint that answers nobody is no item's fault."""
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        said = f"{self._name} did not answer for model {request.model!r} after {tries}: {failure.reason}"
        if failure.kind is Kind.STOP or (failure.down and self._known.gate.silent_since(began)):
            self._known.gate.stop(lost=said)
            raise EndpointLostError(said) from error
        raise EndpointError(said) from error

    def _cannot_score(self, request: LLMRequest, reason: str) -> EndpointError:
        return EndpointError(
            f"{self._name} does not score prompts with model {request.model!r}; cloze verdicts need one that does "
            "(completions with `echo` and `logprobs`): set verdict.style to label or reason, or name another endpoint; "
            f"it said: {reason}"
        )

    @property
    def _name(self) -> str:
        return f"the {self._role}'s endpoint {self._url}"

    def _tell(self, what: str) -> None:
        self._known.tell_once(f"{self._name} {what}", self._tell_all)


def _per_minute(limit: int | None) -> AsyncLimiter | None:
    return AsyncLimiter(limit, 60) if limit is not None else None


def _messages(messages: tuple[Message, ...]) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in messages]


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
