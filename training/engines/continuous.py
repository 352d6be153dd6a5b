"""The `continuous` engine: transformers' continuous batching, where requests join and leave at every token.

Adapters stand side by side and every token goes through its request's own (`token_routing`), so taking in an adapter
stops generation only while its weights are put in place; nothing is drained and nothing changes its version.

For causal students without beam search. What prompts begin with in common is read once (`prefix_sharing`), and each
request attends to its own keys alone (`paged_attention`).
"""

import asyncio
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from math import ceil
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.continuous_api import BackgroundThreadStatus

from ...core.errors import AdapterError, GenerationError, UnansweredError
from ...core.records import Generation, GenerationRequest
from ...core.student_settings import ContinuousSettings
from ..student.memory import ran_out
from ..student.student import LoadedStudent
from . import paged_attention
from .adapter_slots import AdapterSlots, ReadAdapter
from .batch_limit import BatchLimit
from .engine import (
    BASE_MODEL,
    CLOSED,
    EngineStats,
    generation_of,
    prompt_of,
    refuse_beams,
    refuse_seq2seq,
    refuse_too_long,
    refuse_unloaded,
)
from .local_engine import LocalEngine
from .prefix_sharing import SCHEDULER, request_key
from .seeded_sampling import uniform_numbers
from .token_routing import RequestParams, RowSampler, Spans, TokenRouter

PAGE = 8
"""Tokens whose keys and values are allocated, and shared, together."""
LEAST_STEP = 16
"""Tokens that go through the model in a step however little memory there is."""
LAST_WORDS_S = 5.0
"""How long a manager that has failed is given to say why."""


class _StoppedError(GenerationError):
    """A request came to nothing, and perhaps the manager did."""

    def __init__(self, why: str, *, begun: bool) -> None:
        super().__init__(why)
        self.begun = begun
        """Whether the request was being answered."""


class ContinuousEngine(LocalEngine[AdapterSlots]):
    """A `StudentEngine`; it begins to run, in a thread of its own, when it is made.

    Raises:
        ConfigError: the student is not causal.
    """

    streams = True

    def __init__(
        self,
        student: LoadedStudent,
        *,
        max_batch: int,
        limits: ContinuousSettings,
        threads: int,
        worker: str = "local",
    ) -> None:
        refuse_seq2seq(student.name, student.kind, "continuous")
        # It has warnings for what is refused here.
        logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
        self._student = student
        self._limits = limits
        self._threads = threads
        self._worker = worker
        super().__init__(AdapterSlots(student))
        self._router = TokenRouter(self._adapters)
        self._numbers = itertools.count()
        self._loads = itertools.count(1)
        self._load_of = {BASE_MODEL: 0}
        self._replies: set[asyncio.Future[Any]] = set()
        self._taking_over = asyncio.Lock()
        self._stats = EngineStats()
        self._closed = False
        self._attention = student.model.config._attn_implementation
        self._limit = BatchLimit(max_batch)
        self._step_tokens = limits.step_tokens
        self._manager = self._start()

    def _start(self) -> Any:
        max_batch = self._limit.most
        tokenizer = self._student.tokenizer
        generation = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            do_sample=False, eos_token_id=list(self._student.ends), pad_token_id=tokenizer.pad_token_id
        )
        batching = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=ceil(self._limits.cache_tokens / PAGE),
            max_batch_tokens=max(self._step_tokens, max_batch),
            max_requests_per_batch=max_batch,
            scheduler_type=SCHEDULER,
            # Sampling and routing look at every step in Python, before it is computed.
            use_async_batching=False,
            use_cuda_graph=False,
            auto_switch_to_flash=False,
        )
        model = self._student.model
        manager = model.init_continuous_batching(generation, batching)
        if paged_attention.suits(model):  # transformers knows it not, and refuses it if it comes earlier
            model.set_attn_implementation(paged_attention.NAME)
        manager.logit_processor = RowSampler(self._before_step)
        manager.start()
        threading.Thread(target=_stop_with_program, args=(weakref.ref(manager),), daemon=True).start()
        return manager

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters."""
        under_way = self._active.count
        running = min(self._stats.running, under_way)
        return replace(self._stats, running=running, waiting=under_way - running, busy_s=self._active.busy_s)

    async def generate(self, request: GenerationRequest, *, on_text: Callable[[str], None] | None = None) -> Generation:
        """One generation; it begins with the next step that has room for it.

        `on_text` is called with all of the text so far as tokens come; the last of it may still change.
        """
        if self._closed:
            raise GenerationError(CLOSED)
        version = request.adapter
        refuse_unloaded(version, self.loaded)
        refuse_beams(request, "continuous")
        prompt = prompt_of(self._student, request)
        self._refuse_too_long(request, len(prompt))
        self._adapters.touch(version)
        with self._active.one(version):
            output = await self._output(request, prompt, version, on_text)
        self._stats.answered += 1
        self._stats.tokens += len(output.generated_tokens)
        self._limit.answered(len(prompt) + request.sampling.max_tokens)
        began, ended = output.lifespan
        return generation_of(
            self._student,
            request,
            output.generated_tokens,
            prompt_tokens=len(prompt),
            adapter_version=version,
            queue_ms=(began - output.created_time) * 1000,
            latency_ms=(ended - began) * 1000,
            worker=self._worker,
            batch_limit=self._limit.lessened,
        )

    async def close(self) -> None:
        """End at once; whoever waits hears of it."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._manager.stop, hard_stop=True)
            for reply in list(self._replies):  # a request that comes in as the manager stops is lost there
                if not reply.done():
                    reply.set_exception(GenerationError(CLOSED))
            self._student.model.set_attn_implementation(self._attention)

    async def _output(
        self, request: GenerationRequest, prompt: list[int], version: int, on_text: Callable[[str], None] | None
    ) -> Any:
        while True:
            manager = self._manager
            smallest = self._limit.most == 1 and self._step_tokens == LEAST_STEP
            try:
                return await self._output_of(manager, request, prompt, version, on_text)
            except _StoppedError as stopped:
                if self._closed or not await self._go_on_with_less(manager):
                    raise (GenerationError if self._closed else UnansweredError)(str(stopped)) from None
                if smallest and stopped.begun:
                    self._limit.lessen(1, request.id, len(prompt) + request.sampling.max_tokens)

    async def _go_on_with_less(self, failed: Any) -> bool:
        """Whether memory ran out in a manager. One that does less at a time has then taken its place."""
        async with self._taking_over:
            if failed is not self._manager:
                return True
            await asyncio.to_thread(failed.join, time.perf_counter(), LAST_WORDS_S)  # it says why as it ends
            error = failed.background_thread_status.fatal_error
            if error is None or not ran_out(error):
                return False
            await asyncio.to_thread(self._restart, failed)
            return True

    def _restart(self, failed: Any) -> None:
        failed.background_thread_status.fatal_error.__traceback__ = None  # it and these hold what was being computed
        failed.batch_processor = failed.model = None
        self._limit.lessen(max(2, self._limit.most))
        self._step_tokens = max(LEAST_STEP, self._step_tokens // 2)
        self._student.model.set_attn_implementation(self._attention)
        self._manager = self._start()

    async def _output_of(
        self,
        manager: Any,
        request: GenerationRequest,
        prompt: list[int],
        version: int,
        on_text: Callable[[str], None] | None,
    ) -> Any:
        sampling, key = request.sampling, request_key(self._load_of[version], next(self._numbers))
        params = RequestParams(
            version,
            len(prompt),
            sampling.temperature,
            sampling.top_p,
            tuple(uniform_numbers(request.seed, sampling.max_tokens).tolist()),
        )
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.add(reply)
        reply.add_done_callback(self._replies.discard)

        def answer(output: Any) -> None:
            if reply.done():
                return
            if on_text is None or output.is_finished():
                reply.set_result(output)
            else:
                on_text(self._student.tokenizer.decode(output.generated_tokens, skip_special_tokens=True).strip())

        manager.register_result_handler(key, answer)
        # The key begins with the loading of the adapter, by which `prefix_sharing` tells apart whose prompts are whose.
        options = {"max_new_tokens": sampling.max_tokens, "streaming": on_text is not None}
        added = manager.add_request(prompt, request_id=key, params=params, **options)
        if added is None:
            await asyncio.to_thread(manager.join, time.perf_counter(), LAST_WORDS_S)  # it says why as it ends
            why = manager.background_thread_status.fatal_error
            reply.cancel()
            raise _StoppedError(f"the engine has stopped for good ({why}); start the student again", begun=False)
        try:
            output = await reply
        except asyncio.CancelledError:
            manager.cancel_request(key)
            raise
        if output.error is not None:
            why = CLOSED if self._closed else f"request {request.id!r} failed: {output.error}"
            raise _StoppedError(why, begun=output.lifespan[0] > 0)
        return output

    def _refuse_too_long(self, request: GenerationRequest, prompt_tokens: int) -> None:
        refuse_too_long(self._student, request, prompt_tokens)
        wanted = prompt_tokens + request.sampling.max_tokens
        if wanted > self._limits.cache_tokens:
            raise GenerationError(
                f"request {request.id!r} needs room for {wanted} tokens; raise student.continuous.cache_tokens, which "
                f"is {self._limits.cache_tokens}"
            )

    async def _put(self, version: int, adapter: ReadAdapter, leaving: Sequence[int]) -> None:
        async with self._taking_over:
            await asyncio.to_thread(self._swap_in, version, adapter, leaving)

    async def _drop(self, version: int) -> None:
        async with self._taking_over:
            await asyncio.to_thread(self._remove, version)

    def _swap_in(self, version: int, adapter: ReadAdapter, leaving: Sequence[int]) -> None:
        with self._paused():
            try:
                self._refuse_adapted_output(version, adapter)
                self._load_of[version] = next(self._loads)  # before the version can be asked for
                self._adapters.load(version, adapter, leaving)
            finally:
                self._router.hook()

    def _remove(self, version: int) -> None:
        with self._paused():
            self._adapters.remove(version)
            self._router.hook()

    def _refuse_adapted_output(self, version: int, adapter: ReadAdapter) -> None:
        model = self._student.model
        output = next(name for name, module in model.named_modules() if module is model.get_output_embeddings())
        if any(f".{output}." in key for key in adapter.weights):
            raise AdapterError(
                f"adapter version {version} changes the output layer, which the engine continuous computes for some "
                "tokens alone; set student.engine to static, or leave it out of training.lora.target_modules"
            )

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Stop between two steps for the time of the block."""
        with ExitStack() as pause:
            with suppress(RuntimeError):  # one that has failed stands still already
                pause.enter_context(self._manager.pause())
            began = time.monotonic()
            yield
            self._stats.count_swap(time.monotonic() - began)

    def _before_step(self, spans: Spans) -> None:
        if torch.get_num_threads() != self._threads:  # OpenMP's thread count belongs to a thread
            torch.set_num_threads(self._threads)
        self._stats.batches += 1
        self._stats.batched_rows += len(spans)
        self._stats.running = len(spans)
        self._router.route(spans)


def _stop_with_program(manager: "weakref.ref[Any]") -> None:
    # The manager's thread would keep the program from ending. It is only told to end, since a program that ends may
    # not wait for this thread, and takes it badly if that is busy inside a library then.
    threading.main_thread().join()
    left = manager()
    if left is not None and left.is_running():
        left.background_thread_status.request_stop(BackgroundThreadStatus.HARD_STOP, 0)
