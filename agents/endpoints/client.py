"""The client for any OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI (`chat`).

Adds what a long run needs: asking again what may pass, for as long as endpoint and patience allow (`failures`,
`waits`, `gate`), a cap on calls in flight, limits on requests and tokens per minute, and doing without what an
endpoint refuses (`options`). A prompt is scored by the older completions endpoint, with `echo`: chat completions
give no log-probabilities of the prompt.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import httpx2
import openai
from aiolimiter import AsyncLimiter
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import SecretStr

from ...core.config import EndpointSettings
from ...core.errors import EndpointError, EndpointLostError
from ...core.records import LLMReply, LLMRequest, Message, Sampling
from ...core.text import rough_tokens, spoken
from .access import Access
from .batches import ProviderBatches
from .body import ErrorInReplyError
from .chat import DirectChat
from .failures import TROUBLE, Failure, Kind, read_failure
from .gate import Tell, unheard
from .known import Known
from .options import REFUSALS, RequestOptions
from .replies import chat_reply, scored_prompt
from .room import MOST_ROOM
from .traced import traced
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
        self._settings, self._tell_each, self._samples = settings, tell, samples
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
    def url(self) -> str:
        """The endpoint's address."""
        return self._url

    @property
    def trouble(self) -> str:
        """What calls are waiting for that have to be made again, in one line; empty where none is."""
        news = self._known.gate.news
        if not self._trying_again and not news:
            return ""
        reason = news or f"{next(reversed(self._trying_again.values()))}; trying again"
        return f"{self._name}: {reason} ({len(self._trying_again.keys() | self._held_up)} waiting)"

    @property
    def stopped(self) -> bool:
        """Whether nothing is to be sent any more."""
        return self._known.gate.stopped

    async def sleep(self, seconds: float) -> None:
        """Wait for so long, or until nothing is to be sent any more."""
        await self._known.gate.sleep(seconds)

    def stop_asking(self) -> None:
        """From now on calls that wait for their turn, or for another attempt, end with EndpointError."""
        self._known.gate.stop()

    def remember_thought(self, room: int) -> None:
        """Know from another process that a reply with so much room was thought alone, and start with more."""
        self._known.room.remember(room)

    async def complete(
        self, request: LLMRequest, aside: Callable[[LLMReply], Awaitable[None]] | None = None
    ) -> LLMReply:
        """The endpoint's reply.

        One that is thought alone is asked for again with more room, and so are its successors.

        Args:
            request: What is asked.
            aside: Gets each reply that is thought alone, with the room that it had (`room` of `raw`), before anything
                more is asked. What it raises ends the call.

        Raises:
            EndpointError: this request is refused, or is the only one that is not answered after `max_retries`.
            EndpointLostError: no request was answered for as long as `patience_s`.
        """
        self._role = request.role
        async with self._in_flight:
            call = _Call(request)
            began = call.began
            try:
                while True:
                    await self._turn(call)
                    try:
                        ask = self._score if request.score_prompt else self._converse
                        reply, wants_more = await ask(request, began, call.attempts)
                    except TROUBLE as error:
                        failure = self._read(request, error)
                        self._trying_again[call] = failure.reason
                        await self._bear(call, failure, error)
                        continue
                    reply = self._access.clean(reply)
                    if not wants_more:
                        return reply.model_copy(update={"raw": reply.raw | call.beside()})
                    call.thought_alone += 1
                    self._tell("thinks until its room is used up: such replies are asked for again with more")
                    if aside is not None:
                        await aside(reply)
                    began = time.monotonic()  # what comes next is another reply, with a time of its own
            finally:
                self._trying_again.pop(call, None)
                self._held_up.discard(call)
                self._known.gate.leave(call)

    def batch_body(self, request: LLMRequest) -> dict[str, Any]:
        """The body of a request as it would be sent now, for a line of a batch."""
        self._role = request.role
        asked = self._known.options.of(request, self._settings.reasoning_effort)
        return self._chat.body(_messages(asked.messages), **self._known.room.widen(dict(asked.options)))

    def most_written(self, request: LLMRequest) -> int:
        """The most tokens of a reply to a request as it would be sent now, with those of its thoughts."""
        return self._known.options.of(request, self._settings.reasoning_effort).cap + self.room

    @property
    def room(self) -> int:
        """Tokens that a reply is allowed now beside those for its answer."""
        return self._known.room.tokens

    def batched_reply(self, request: LLMRequest, body: Mapping[str, Any], had: int) -> tuple[LLMReply, bool] | None:
        """A reply that came in a batch, and whether it is thought alone; None where it is no reply.

        Args:
            request: What was asked, maybe by a process that is gone.
            body: The chat completion.
            had: The `room` there was when it was sent; it is in the `raw` of a reply that is thought alone.
        """
        options, room = self._known.options, self._known.room
        self._role = request.role
        try:
            message = self._chat.message(json.dumps(body).encode())
            assert isinstance(message, AIMessage)
            reply = chat_reply(request, message, 0.0, 0, options.left_out)
        except TROUBLE:
            return None
        most = options.of(request, self._settings.reasoning_effort).cap + MOST_ROOM
        reply = self._access.clean(self._known.seen(request, reply, most, self._samples, self._tell))
        reply = reply.model_copy(update={"usage": reply.usage.model_copy(update={"batched": 1})})
        room.had_elsewhere(had)
        if wants_more := room.wants_more(reply, had):
            reply = reply.model_copy(update={"raw": reply.raw | {"room": had}})
        return reply, wants_more

    @property
    def in_batches(self) -> bool:
        """Whether it is to be asked in batches where that can be."""
        return self._settings.batch

    @property
    def batches(self) -> ProviderBatches:
        """The provider's batches, asked for through the same connections."""
        return ProviderBatches(self._chat.root_async_client, self._known.gate, self._settings, self._access)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def _turn(self, call: "_Call") -> None:
        """Wait until the request may be sent: the gate lets it pass, and the minute's limits have room."""
        gate = self._known.gate
        while True:
            self._held_up.add(call)
            await gate.passed(call)
            self._held_up.discard(call)
            if self._requests is not None or self._tokens is not None:
                await gate.unless_stopped(self._share(call.request))
            if gate.stopped or gate.lets(call):  # what was taken before a pause would all be spent at its end
                break
        if gate.lost:
            raise EndpointLostError(gate.lost)
        if gate.stopped:
            raise EndpointError(f"the {call.request.role} was not asked: the run is ending")

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
        self._known.gate.answered(self.say)
        return answer

    async def _converse(self, request: LLMRequest, began: float, retries: int) -> tuple[LLMReply, bool]:
        """A reply, and whether it is thought alone and has more room from now on.

        An option the endpoint refuses is left out, now and from now on.
        """
        options, room, effort = self._known.options, self._known.room, self._settings.reasoning_effort
        while True:
            had, asked = room.tokens, options.of(request, effort)
            sent = room.widen(dict(asked.options))
            try:
                message = await self._in_time(
                    self._chat.ask(_messages(asked.messages), partial(traced, request), **sent)
                )
            except REFUSALS as error:
                if read_failure(error).kind is not Kind.ITEM:
                    raise
                if not (options.learn(error, request, asked, effort) or room.give_back(error, had)):
                    raise
                continue
            options.worked(asked)
            assert isinstance(message, AIMessage)
            reply = chat_reply(request, message, _ms_since(began), retries, options.left_out)
            reply = self._known.seen(request, reply, asked.cap + had, self._samples, self._tell)
            if wants_more := room.wants_more(reply, had):
                reply = reply.model_copy(update={"raw": reply.raw | {"room": had}})
            return reply, wants_more

    async def _score(self, request: LLMRequest, began: float, retries: int) -> tuple[LLMReply, bool]:
        """The log-probabilities of a prompt. Servers refuse to write no token at all, so one is."""
        prompt: str | list[int] = "\n".join(message.content for message in request.messages)
        if request.prompt_ids is not None:
            prompt = list(request.prompt_ids)
        body = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        answer = await self._in_time(self._chat.score(body, partial(traced, request)))
        reply = scored_prompt(request, answer, _ms_since(began), retries)
        if reply is None:
            why = "it sent no log-probabilities of the prompt"
            raise self._cannot_score(request, why) from ErrorInReplyError(why)
        return reply, False

    def _read(self, request: LLMRequest, error: Exception) -> Failure:
        failure = read_failure(error)
        failure = replace(failure, reason=self._access.redacted(failure.reason))
        if failure.kind is Kind.PASSES and failure.wait_s is not None and failure.wait_s > LONGEST_PAUSE_S:
            asks = f"it asks to wait {spoken(failure.wait_s)}: {failure.reason}"
            failure = replace(failure, kind=Kind.STOP, reason=asks)
        if request.score_prompt and failure.status in _CANNOT_SCORE:
            raise self._cannot_score(request, failure.reason) from error
        if failure.kind is Kind.ITEM:
            self._known.gate.answered(self.say)
        return failure

    async def _bear(self, call: "_Call", failure: Failure, error: Exception) -> None:
        """Return once another attempt may be made; raise what ends the item, or the run.

        An item fails for nothing but what is its own: where nobody else is answered either, a plain question shows
        whose fault it is. An account that has no credit left for long replies may answer short ones: then all wait.
        """
        gate, settings = self._known.gate, self._settings
        call.attempts += 1
        if failure.kind is Kind.ITEM or (call.vouched and not failure.never_own):
            raise self._gives_up(call, failure) from error
        if failure.kind is Kind.STOP:
            raise self._lost(call, failure) from error
        if failure.limited:
            call.counted += 1
            if call.counted > settings.max_retries:
                if gate.silent_since(call.since):
                    raise self._lost(call, failure) from error
                call.counted, call.since = 0, time.monotonic()  # others get through, and so will this
            await self._wait(failure, call.attempts - 1)
            return
        impatient = gate.failed(call, failure, settings.patience_s, self.say)
        # Only what may be the request's own fault counts: not that the endpoint was not reached, nor that, since this
        # call failed last, it has answered nobody else either.
        if not failure.unreached and not (gate.shut and gate.silent_since(call.failed)):
            call.counted += 1
        call.failed = time.monotonic()
        used_up = call.counted > settings.max_retries
        if impatient or (used_up and (failure.account or gate.silent_since(call.began))):
            if not await self._answers(call.request, failure):
                raise self._lost(call, failure) from error
            call.vouched = True  # it has one more attempt, lest the endpoint has come back just now
        elif used_up:
            raise self._gives_up(call, failure) from error
        elif not gate.shut:  # where it is, the call waits for its turn at the gate
            await self._wait(failure, call.attempts - 1)

    async def _answers(self, request: LLMRequest, failure: Failure) -> bool:
        """Whether a plain question is answered, or refused: then the endpoint is there."""
        patience, asked = self._settings.patience_s, failure.wait_s or 0.0
        if failure.never_own or not patience or asked > patience:
            return False
        await self._known.gate.sleep(asked)
        hello = Message(role="user", content="Say OK.")
        plain = LLMRequest(request.role, request.model, (hello,), Sampling(temperature=0.0, max_tokens=16), seed=0)
        try:
            await self._converse(plain, time.monotonic(), 0)
        except TROUBLE as error:
            return self._read(plain, error).kind is Kind.ITEM
        return True

    async def _wait(self, failure: Failure, attempt: int) -> None:
        """Wait before another attempt. Where the endpoint says how long, all who ask it wait."""
        gate, seconds = self._known.gate, wait_before(attempt, failure.wait_s)
        if failure.wait_s is not None:
            gate.pause(seconds, failure.reason, self._tell)
        await gate.sleep(seconds)

    def _gives_up(self, call: "_Call", failure: Failure) -> EndpointError:
        return EndpointError(self._said(call, failure))

    def _lost(self, call: "_Call", failure: Failure) -> EndpointLostError:
        self._known.gate.stop(lost=self._said(call, failure))
        return EndpointLostError(self._known.gate.lost)

    def _said(self, call: "_Call", failure: Failure) -> str:
        tries = "1 attempt" if call.attempts == 1 else f"{call.attempts} attempts"
        return f"{self._name} did not answer for model {call.request.model!r} after {tries}: {failure.reason}"

    def _cannot_score(self, request: LLMRequest, reason: str) -> EndpointError:
        needs, instead = "cloze verdicts need", "set verdict.style to label or reason"
        if request.prompt_ids is not None:
            needs, instead = "on-policy distillation needs", "set training.objective to another than opd"
        return EndpointError(
            f"{self._name} does not score prompts with model {request.model!r}; {needs} one that does (completions "
            f"with `echo` and `logprobs`): {instead}, or name another endpoint; it said: {reason}"
        )

    @property
    def _name(self) -> str:
        return f"the {self._role}'s endpoint {self._url}"

    def say(self, what: str, role: str = "") -> None:
        """Tell whoever watches something about the endpoint, maybe before this role has asked it anything."""
        self._role = role or self._role
        self._tell_each(f"{self._name} {what}")

    def _tell(self, what: str) -> None:
        self._known.tell_once(f"{self._name} {what}", self._tell_each)


@dataclass(slots=True, eq=False)
class _Call:
    """One request, until it is answered or given up."""

    request: LLMRequest
    began: float = field(default_factory=time.monotonic)
    attempts: int = 0
    counted: int = 0
    """Attempts that count against `max_retries`."""
    since: float = field(default_factory=time.monotonic)
    """When the first of those was made that count now."""
    failed: float = field(default_factory=time.monotonic)
    """When it failed last."""
    vouched: bool = False
    """Whether the endpoint was seen to answer another question meanwhile: one more failure is the request's own."""
    thought_alone: int = 0
    """Replies that were, and that it was made again after."""

    def beside(self) -> dict[str, int]:
        """What the reply in the end says of those before it."""
        return {"thought_alone": self.thought_alone} if self.thought_alone else {}


def _per_minute(limit: int | None) -> AsyncLimiter | None:
    return AsyncLimiter(limit, 60) if limit is not None else None


def _messages(messages: tuple[Message, ...]) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in messages]


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
