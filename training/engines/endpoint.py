"""The `endpoint` engine: a server with an OpenAI-compatible API that holds the student and takes in LoRA while it runs.

Speaks vLLM's calls and SGLang's. Prompts are rendered here and sent as token ids, so that the student reads what it was
trained on. Every adapter has a name of its own on the server, made of its version and its manifest's hash: a name that
is used again may be answered from another adapter's cache, and several runs may share a server. Adapters are loaded by
path, so the server must see the folder that this machine sees.

What a server draws under a seed, and whether its answers depend on who else asks, is the server's business.

What the server refuses about a request fails that request. A server that is not there, lets nobody in or has another
model fails none: the run ends, and goes on once that is mended.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import openai

from ...core.endpoints.secrets import hidden, keep_secret
from ...core.errors import AdapterError, ConfigError, GenerationError, OpenmicError, StudentLostError, UnansweredError
from ...core.records import AdapterRef, Generation, GenerationRequest
from ...core.student_settings import StudentEndpointSettings, StudentWeights
from ..adapters.adapters import MANIFEST, file_sha256, verify_adapter
from ..student.student import student_elsewhere
from .endpoint_client import student_client
from .engine import (
    ADAPTERS_KEPT,
    BASE_MODEL,
    CLOSED,
    ActiveRequests,
    EngineStats,
    generation_of,
    prompt_of,
    refuse_base_model,
    refuse_beams,
    refuse_too_long,
    refuse_unloaded,
)

_OWN_FAULT = frozenset({400, 413, 422})
"""How a server turns away what it was asked."""
UNANSWERED = (openai.OpenAIError, ValueError)
"""What an attempt raises: ValueError where the body is no JSON."""
_NOT_THERE = (ConnectionRefusedError, socket.gaierror, ssl.SSLError)
SLOWEST = 4.0
"""Tokens a second of one answer; a server that writes fewer cannot be told from one that hangs."""
_IN_VAIN = 2
"""Attempts in a row that take their whole time while nobody is answered: a server that is silent for so long stays so,
where one that is busy answers somebody."""
_LONGEST = 300
"""Characters of what a server says that are quoted."""


class EndpointEngine:
    """A `StudentEngine` in front of a server.

    Raises:
        ConfigError: the student is not causal, or a proxy cannot be used that the environment names.
        StudentError: its tokenizer cannot be had.
    """

    timeout_key = "student.endpoint.timeout_s"
    """What the configuration calls the time in which it is to answer."""

    def __init__(
        self,
        student: str | StudentWeights,
        settings: StudentEndpointSettings,
        template_kwargs: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        worker: str | None = None,
        silence_s: float | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            student: Whose tokenizer is read here.
            settings: Where the server is.
            template_kwargs: What the student's chat template is given.
            key: The server's. None: what the environment variable says.
            worker: What generations name as theirs. None: the server's address.
            silence_s: An attempt is given up once nobody is answered for so long, and for as long as the longest answer
                that is asked for takes at `SLOWEST`. It goes on as long as others are.
                None: `timeout_s` of the settings is all that bounds it.
        """
        self._student = student_elsewhere(student, template_kwargs)
        name = self._student.name
        if self._student.kind != "causal":
            raise ConfigError(f"student.engine=endpoint serves causal students, which {name!r} is not; take static")
        self._settings, self._silence_s = settings, silence_s
        self._base_model = settings.model or name
        self._worker = worker or settings.base_url
        key = key or os.environ.get(settings.api_key_env) or "none"
        keep_secret(key)
        attempts: Any = {"timeout_s": settings.timeout_s, "max_retries": settings.max_retries}
        self._client = student_client(settings.base_url, key, **attempts)
        self.extra: dict[str, Any] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        """Asked for besides temperature and top_p: nothing, whatever the model's generation_config recommends."""
        self._refs: dict[int, AdapterRef] = {}
        self._unloading: dict[int, asyncio.Future[Any]] = {}
        self._active = ActiveRequests()
        self._asked_for: list[int] = []
        """The most tokens of each request that is in progress."""
        self._swapping = asyncio.Lock()
        self._calls: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._stats = EngineStats()

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for."""
        return (BASE_MODEL, *self._refs)

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters; requests that wait count as running, as only the server knows."""
        return replace(self._stats, running=self._active.count, busy_s=self._active.busy_s)

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation, asked for again after errors that pass."""
        if self._closed:
            raise GenerationError(CLOSED)
        version = request.adapter
        refuse_unloaded(version, self.loaded)
        refuse_beams(request, "endpoint")
        if version:
            self._refs[version] = self._refs.pop(version)  # the most recently used one stands last
        prompt, began = prompt_of(self._student, request), time.monotonic()
        refuse_too_long(self._student, request, len(prompt))
        most = request.sampling.max_tokens
        self._asked_for.append(most)
        try:
            with self._active.one(version):
                completion = await self._until_closed(self._complete(request, prompt, self._refs.get(version)))
        finally:
            self._asked_for.remove(most)
        ends = self._student.ends
        text, ids, ended = self._read(request, completion)
        if ended and (not ids or ids[-1] not in ends):
            ids = [*ids, ends[0]]
        self._stats.answered += 1
        self._stats.tokens += len(ids)
        generation = generation_of(
            self._student,
            request,
            ids,
            prompt_tokens=len(prompt),
            adapter_version=version,
            queue_ms=0.0,
            latency_ms=(time.monotonic() - began) * 1000,
            worker=self._worker,
        )
        return replace(generation, text=text.strip(), finish_reason="stop" if ended else "length")

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        """Have the server load an adapter; old ones are unloaded once their requests are answered."""
        async with self._swapping:
            if ref.version in self._unloading:  # its name may not be used again while it is being unloaded
                await asyncio.wait([self._unloading[ref.version]])
            if ref.version == BASE_MODEL or ref.version in self._refs:
                return
            self._refs[ref.version] = await self._hand_over(ref)
            self._stats.count_swap(0.0)  # the server goes on meanwhile
            spare = [version for version in self._refs if version not in {*keep, ref.version}]
            for version in spare[: max(0, len(self._refs) - ADAPTERS_KEPT)]:
                self._begin_unloading(version)

    async def unload(self, version: int) -> None:
        """Have the server let go of a version once what is in progress with it is answered."""
        refuse_base_model(version)
        if version in self._refs:
            self._begin_unloading(version)
        if version in self._unloading:
            await asyncio.wait([self._unloading[version]])

    async def close(self) -> None:
        """End at once; whoever waits hears of it. The server keeps the adapters: another may be using them."""
        self._closed = True
        calls = [call for call in self._calls if call.cancel()]
        if calls:
            await asyncio.wait(calls)
        await self._client.close()

    async def _complete(self, request: GenerationRequest, prompt: list[int], ref: AdapterRef | None) -> Any:
        try:
            return await self._ask(request, prompt, ref)
        except UNANSWERED as error:
            if ref is None or not _lacks_adapter(error, ref):
                raise self._failure(f"request {request.id!r}", error) from error
        await self._hand_over(ref)  # a server that was started anew has forgotten its adapters
        try:
            return await self._ask(request, prompt, ref)
        except UNANSWERED as error:
            raise self._failure(f"request {request.id!r}", error) from error

    async def _ask(self, request: GenerationRequest, prompt: list[int], ref: AdapterRef | None) -> Any:
        sampling, model = request.sampling, self._base_model
        extra: dict[str, Any] = {"stop_token_ids": list(self._student.ends), **self.extra}
        if self._settings.server == "vllm":
            extra["return_token_ids"] = True
            model = model if ref is None else adapter_name(ref)
        elif ref is not None:
            extra["lora_path"] = adapter_name(ref)
        create = partial(
            self._client.completions.create,
            model=model,
            prompt=prompt,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=request.seed,
            extra_body=extra,
        )
        retries = self._settings.max_retries
        return await self._in_time(create, min(1, retries) if request.hurried else retries)

    async def _in_time(self, attempt: Callable[[], Awaitable[Any]], retries: int) -> Any:
        """What an attempt gives, made again where it took its whole time, as long as that may help."""
        in_vain = 0
        while True:
            answered = self._stats.answered
            try:
                return await self._unless_silent(attempt())
            except openai.APITimeoutError:
                in_vain = in_vain + 1 if self._stats.answered == answered else 0
                if not retries or in_vain == _IN_VAIN:
                    raise
                retries -= 1

    async def _unless_silent(self, attempt: Awaitable[Any]) -> Any:
        """What an attempt gives; raises APITimeoutError once nobody has been answered for too long."""
        call = asyncio.ensure_future(attempt)
        try:
            while True:
                answered = self._stats.answered
                done, _ = await asyncio.wait([call], timeout=self._longest_silence())
                if done:
                    return call.result()
                if self._stats.answered == answered:
                    raise openai.APITimeoutError(httpx2.Request("POST", self._settings.base_url))
        finally:
            call.cancel()

    def _longest_silence(self) -> float | None:
        """Seconds in which a server that is slow and healthy has answered somebody; None where that bounds nothing."""
        return None if self._silence_s is None else self._silence_s + max(self._asked_for, default=0) / SLOWEST

    def _read(self, request: GenerationRequest, completion: Any) -> tuple[str, list[int], bool]:
        """Text and tokens of a completion, and whether it ended by itself."""
        try:
            choice = completion.choices[0]
            text, ids = choice.text, getattr(choice, "token_ids", None)
            if ids is None:
                ids = self._student.tokenizer(text, add_special_tokens=False)["input_ids"]
            return text, [int(each) for each in ids], choice.finish_reason == "stop"
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._failure(f"request {request.id!r}", error) from error

    def _failure(self, what: str, error: Exception) -> OpenmicError:
        """What it means that the server did not do something, after all attempts: whose fault that is."""
        url, said = self._settings.base_url, what_happened(error, self.timeout_key)
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in _OWN_FAULT:
                return GenerationError(f"the student's server {url} could not answer {what}: {said}")
            if status < 500:
                return StudentLostError(
                    f"the student's server {url} answers nobody: {said}; mend that, or its settings"
                )
        elif isinstance(root_of(error), _NOT_THERE):
            return StudentLostError(f"the student's server {url} does not answer: {said}; is it running?")
        return UnansweredError(f"the student's server {url} did not answer {what}: {said}")

    async def _until_closed(self, work: Any) -> Any:
        call = self._keep_going(work)
        try:
            return await call
        except asyncio.CancelledError:
            if self._closed:
                raise GenerationError(CLOSED) from None
            raise

    def _keep_going(self, work: Any) -> "asyncio.Future[Any]":
        call: asyncio.Future[Any] = asyncio.ensure_future(work)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    def _begin_unloading(self, version: int) -> None:
        unloading = self._keep_going(self._drain_and_unload(version, self._refs.pop(version)))
        self._unloading[version] = unloading
        unloading.add_done_callback(lambda _: self._unloading.pop(version))

    async def _drain_and_unload(self, version: int, ref: AdapterRef) -> None:
        await self._active.drained(version)
        try:
            await self._administer("unload_lora_adapter", {"lora_name": adapter_name(ref)})
        except (*UNANSWERED, StudentLostError):
            return  # it is gone already, or the server is: neither keeps an answer from anybody

    async def _hand_over(self, ref: AdapterRef) -> AdapterRef:
        """Have the server load an adapter; returns it with its hash, by which it is called there.

        Raises:
            AdapterError: the adapter is broken, or the server does not take it.
            StudentLostError: the server does not answer.
        """
        folder = await asyncio.to_thread(verify_adapter, ref)
        ref = replace(ref, sha256=ref.sha256 or await asyncio.to_thread(file_sha256, folder / MANIFEST))
        name = adapter_name(ref)
        try:
            await self._administer("load_lora_adapter", {"lora_name": name, "lora_path": str(folder.absolute())})
        except UNANSWERED as error:
            if "already" in str(error) and "loaded" in str(error):  # by another worker
                return ref
            if not (isinstance(error, openai.APIStatusError) and error.status_code in _OWN_FAULT | {404, 405}):
                raise self._failure(f"the loading of adapter version {ref.version}", error) from error
            raise AdapterError(
                f"adapter version {ref.version} does not load on {self._settings.base_url}: {error}; the server "
                f"must be started with run-time LoRA and must see {folder}"
            ) from error
        return ref

    async def _administer(self, call: str, body: dict[str, str]) -> None:
        url = self._settings.base_url.rstrip("/")
        if self._settings.server == "sglang":
            url = url.removesuffix("/v1")
        post = partial(self._client.post, f"{url}/{call}", cast_to=str, body=body)
        await self._in_time(post, self._settings.max_retries)


def adapter_name(ref: AdapterRef) -> str:
    """An adapter's name on a server, such as `student-v7-0a1b2c3d`."""
    assert ref.sha256 is not None, "without it two adapters of a version would have one name"
    return f"student-v{ref.version}-{ref.sha256[:8]}"


def root_of(error: BaseException) -> BaseException:
    """The innermost error that the system raised, where one did: "Connection error." may be a refused connection."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return next((one for one in reversed(chain) if isinstance(one, OSError)), error)


def what_happened(error: BaseException, timeout_key: str) -> str:
    """An error in one line that is not too long and holds no key; `timeout_key` is what bounds an attempt."""
    root = root_of(error)
    if isinstance(root, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, openai.APITimeoutError):
        return f"no answer in time ({timeout_key})"
    line = hidden(" ".join(str(root).split()) or type(root).__name__)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _lacks_adapter(error: Exception, ref: AdapterRef) -> bool:
    missing = isinstance(error, openai.NotFoundError) and adapter_name(ref) in str(error)
    return missing or (isinstance(error, openai.APIStatusError) and "not loaded" in str(error))
