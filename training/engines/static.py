"""The `static` engine: `StaticEngine` queues requests, `BatchGenerator` answers a batch of them through `generate`.

A batch is as many requests as fit, waited for a few milliseconds. An adapter is loaded between batches, so no
generation is ever lost to a swap. Does everything the student can: both kinds, sampling and beam search, on any device.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig

from ...core.errors import GenerationError, OpenmicError
from ...core.records import AdapterRef, Generation, GenerationRequest
from ..student.memory import ran_out
from ..student.student import LoadedStudent, accepted_inputs, cache_of, sees_whole_text
from ..student.tokenization import pad_prompts
from .adapter_slots import AdapterSlots, ReadAdapter
from .batch_limit import BatchLimit
from .beam_search import Search, find_beams, groups_of, search_of
from .engine import (
    CLOSED,
    EngineStats,
    cut_at_end,
    generation_of,
    prompt_of,
    refuse_base_model,
    refuse_too_long,
    refuse_unloaded,
)
from .local_engine import LocalEngine
from .prompt_cache import pad_behind_beginning, shared_prefill
from .seeded_sampling import PerRowLength, SeededSampler

T = TypeVar("T")

STRIDE = 8
"""Tokens generated before rows that have ended leave the batch."""
LENGTH_SPREAD = 1.5
"""How many times longer than its shortest prompt the longest of a batch may be."""
WAITS_AT_MOST = 20
"""How many times `wait_ms` a batch waits in all."""


class BatchGenerator:
    """Generates for batches of requests with any loaded adapter version; version 0 is the base model.

    It knows of no queue, and one thread at a time may call it.
    """

    def __init__(self, student: LoadedStudent, *, max_batch: int, worker: str = "local") -> None:
        self._student = student
        self.adapters = AdapterSlots(student)
        """Those that are loaded."""
        self._limit = BatchLimit(max_batch)
        self._worker = worker

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for."""
        return self.adapters.loaded

    def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        """Load an adapter; everything stays as it was on failure.

        Args:
            ref: The adapter.
            keep: Versions that must not be dropped for it.

        Raises:
            AdapterError: the files are not what was committed, or do not fit the student.
        """
        adapter = self.adapters.missing(ref)
        if adapter is not None:
            self.adapters.load(ref.version, adapter, self.adapters.evictable(keep))

    def unload(self, version: int) -> None:
        """Unload a version. Raises AdapterError for the base model."""
        refuse_base_model(version)
        if version in self.loaded:
            self.adapters.remove(version)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer all requests, in their order; batches are made per adapter version and by prompt length.

        Requests of one beam search are answered from one search. Where memory runs out, batches are smaller from then
        on.

        Raises:
            GenerationError: a request names an adapter that is not loaded or a beam that its search does not have, or
                is too long for the student or for memory.
            MemoryFullError: there is no memory for any request.
        """
        began = time.monotonic()
        prompts = [prompt_of(self._student, request) for request in requests]
        for request, prompt in zip(requests, prompts, strict=True):
            refuse_too_long(self._student, request, len(prompt))
        answers: dict[int, Generation] = {}
        for version in sorted({request.adapter for request in requests}):
            refuse_unloaded(version, self.loaded)
            rows = [i for i, request in enumerate(requests) if request.adapter == version]
            for row, ids in self._answers(rows, requests, prompts, version):
                answers[row] = generation_of(
                    self._student,
                    requests[row],
                    ids,
                    prompt_tokens=len(prompts[row]),
                    adapter_version=version,
                    queue_ms=0.0,
                    latency_ms=(time.monotonic() - began) * 1000,
                    worker=self._worker,
                    batch_limit=self._limit.lessened,
                )
                self._limit.answered(len(prompts[row]) + requests[row].sampling.max_tokens)
        return [answers[i] for i in range(len(requests))]

    def _answers(
        self,
        rows: Sequence[int],
        requests: Sequence[GenerationRequest],
        prompts: Sequence[Sequence[int]],
        version: int,
    ) -> Iterator[tuple[int, list[int]]]:
        """Each of the rows with its new token ids, in the order they are found."""
        searches: dict[Search, list[int]] = {}
        sampled: list[int] = []
        for row in rows:
            search = search_of(requests[row], prompts[row])
            if search.num_beams == 1:
                sampled.append(row)
            else:
                searches.setdefault(search, []).append(row)

        def generate(batch: Sequence[int]) -> list[list[int]]:
            return self._generate_batch([requests[i] for i in batch], [prompts[i] for i in batch], version)

        for batch in self._batches(sampled, prompts, self._limit.most):
            yield from self._as_memory_allows(batch, generate, requests, prompts)
        wanted, search_by = list(searches), {rows[0]: search for search, rows in searches.items()}

        def find(batch: Sequence[int]) -> list[list[list[int]]]:
            return self._search([search_by[row] for row in batch], version)

        for group in groups_of(wanted):
            width = wanted[group[0]].num_beams
            first_of = [searches[wanted[place]][0] for place in group]  # one request stands for its search
            for batch in self._batches(first_of, prompts, max(1, self._limit.most // width)):
                for first, beams in self._as_memory_allows(batch, find, requests, prompts, width):
                    yield from ((row, beams[requests[row].beam]) for row in searches[search_by[first]])

    def _as_memory_allows(
        self,
        batch: Sequence[int],
        work: Callable[[Sequence[int]], Sequence[T]],
        requests: Sequence[GenerationRequest],
        prompts: Sequence[Sequence[int]],
        width: int = 1,
    ) -> Iterator[tuple[int, T]]:
        """Each request of a batch with what work finds for it, `width` sequences each; in parts once memory ran out."""
        left = list(batch)
        while left:
            together = left[: max(1, self._limit.most // width)]
            try:
                found = work(together)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
            else:
                yield from zip(together, found, strict=True)
                left = left[len(together) :]
                continue
            # The longest stands last.
            last = together[-1]
            positions = len(prompts[last]) + requests[last].sampling.max_tokens
            tried = len(together) * width if len(together) > 1 else 1
            self._limit.lessen(tried, requests[last].id, positions)

    def _batches(self, rows: Sequence[int], prompts: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
        """The rows in batches of prompts of similar lengths: a short prompt beside a long one is mostly padding."""
        batch: list[int] = []
        for row in sorted(rows, key=lambda i: len(prompts[i])):
            if batch and (len(batch) == most or len(prompts[row]) > len(prompts[batch[0]]) * LENGTH_SPREAD + STRIDE):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _search(self, searches: Sequence[Search], version: int) -> list[list[list[int]]]:
        """New token ids of each beam of each search, the best beam first."""
        self._use(version)
        ids, mask = self._padded([search.prompt for search in searches])
        with torch.inference_mode():
            found = find_beams(self._student, self.adapters.model, ids, mask, searches)
        ends, limit = self._student.ends, searches[0].max_tokens
        return [[cut_at_end(beam, ends, limit) for beam in beams] for beams in found]

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ids, mask = pad_prompts(self._student, prompts)
        return ids.to(self._student.device), mask.to(self._student.device)

    def _generate_batch(
        self, requests: Sequence[GenerationRequest], prompts: Sequence[Sequence[int]], version: int
    ) -> list[list[int]]:
        """New token ids of each row, cut after the end of sequence or at the row's own limit."""
        self._use(version)
        with torch.inference_mode():
            if self._student.kind == "causal":
                return self._decode_causal(prompts, requests)
            return self._decode_seq2seq(*self._padded(prompts), requests)

    def _decode_causal(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest]
    ) -> list[list[int]]:
        """Generate a few tokens at a time, and let rows that have ended leave the batch in between."""
        ids, mask, beginning = *pad_prompts(self._student, prompts), 0
        if sees_whole_text(self._student.model):  # a window counts padding too, so there is to be none inside it
            ids, mask, beginning = pad_behind_beginning(prompts, self._student.tokenizer.pad_token_id)
        ids, mask = ids.to(self._student.device), mask.to(self._student.device)
        width, rows = ids.shape[1], list(range(len(requests)))
        texts: list[list[int]] = [[] for _ in rows]
        cache = shared_prefill(self.adapters.model, ids, mask, beginning)
        while rows:
            active = [requests[row] for row in rows]
            longest = max(request.sampling.max_tokens for request in active)
            stride = min(STRIDE, longest - (ids.shape[1] - width))
            output = self._generate(ids, mask, active, width, stride, cache)
            mask = torch.cat([mask, mask.new_ones(len(rows), output.sequences.shape[1] - ids.shape[1])], dim=1)
            ids, cache = output.sequences, cache_of(output)
            going_on = []
            for place, row in enumerate(rows):
                limit = requests[row].sampling.max_tokens
                texts[row] = cut_at_end(ids[place, width:].tolist(), self._student.ends, limit)
                if len(texts[row]) < limit and texts[row][-1] not in self._student.ends:
                    going_on.append(place)
            if len(going_on) < len(rows):
                kept = torch.tensor(going_on, device=ids.device, dtype=torch.long)
                ids, mask = ids[kept], mask[kept]
                if going_on:
                    cache.batch_select_indices(kept)
                rows = [rows[place] for place in going_on]
        return texts

    def _decode_seq2seq(self, ids: Tensor, mask: Tensor, requests: Sequence[GenerationRequest]) -> list[list[int]]:
        limits = [request.sampling.max_tokens for request in requests]
        output = self._generate(ids, mask, requests, 1, max(limits), None)  # a decoder begins with its start token
        rows = output.sequences[:, 1:].tolist()
        return [cut_at_end(row, self._student.ends, limit) for row, limit in zip(rows, limits, strict=True)]

    def _generate(
        self,
        ids: Tensor,
        mask: Tensor,
        requests: Sequence[GenerationRequest],
        start_width: int,
        new_tokens: int,
        cache: DynamicCache | None,
    ) -> Any:
        samplings = [request.sampling for request in requests]
        tokenizer = self._student.tokenizer
        config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            max_new_tokens=new_tokens,
            do_sample=False,
            return_dict_in_generate=True,
            eos_token_id=list(self._student.ends),
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=getattr(self._student.model.config, "decoder_start_token_id", None),
        )
        return self.adapters.model.generate(
            input_ids=ids,
            attention_mask=mask,
            **accepted_inputs(self.adapters.model, {"past_key_values": cache, "cache": cache}),
            generation_config=config,
            logits_processor=[SeededSampler(samplings, [request.seed for request in requests], start_width)],
            stopping_criteria=[PerRowLength([sampling.max_tokens for sampling in samplings], start_width)],
        )

    def _use(self, version: int) -> None:
        self.adapters.select(version)
        self.adapters.touch(version)


@dataclass(slots=True)
class _Waiting:
    request: GenerationRequest
    reply: "asyncio.Future[Generation]"
    queued_at: float


class StaticEngine(LocalEngine[AdapterSlots]):
    """A `StudentEngine`; it gathers what is asked at about the same time into batches."""

    def __init__(
        self, student: LoadedStudent, *, max_batch: int, wait_ms: float, threads: int, worker: str = "local"
    ) -> None:
        # One thread owns the model: OpenMP's thread count belongs to a thread, and Ray starts us with it set to 1.
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self._generator = BatchGenerator(student, max_batch=max_batch, worker=worker)
        super().__init__(self._generator.adapters)
        self._max_batch = max_batch
        self._wait = wait_ms / 1000
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._batch: list[_Waiting] = []
        self._generator_free = asyncio.Lock()
        self._loop: asyncio.Task[NoReturn] | None = None
        self._closed = False
        self._stats = EngineStats()

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters."""
        return replace(self._stats, waiting=self._queue.qsize() + len(self._batch) - self._stats.running)

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation; shares its batch with whatever else is waiting."""
        if self._closed:
            raise GenerationError(CLOSED)
        refuse_unloaded(request.adapter, self.loaded)
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())
        reply: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        with self._active.one(request.adapter):
            await self._queue.put(_Waiting(request, reply, time.monotonic()))
            return await reply

    async def close(self) -> None:
        """End after the batch that is running; whoever waits hears of it."""
        self._closed = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        left = list(self._batch)
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for waiting in left:
            if not waiting.reply.done():
                waiting.reply.set_exception(GenerationError(CLOSED))
        await asyncio.to_thread(self._thread.shutdown)

    async def _put(self, version: int, adapter: ReadAdapter, leaving: Sequence[int]) -> None:
        async with self._generator_free:
            began = time.monotonic()
            await self._on_thread(self._adapters.load, version, adapter, leaving)
            self._stats.count_swap(time.monotonic() - began)

    async def _drop(self, version: int) -> None:
        async with self._generator_free:
            await self._on_thread(self._adapters.remove, version)

    async def _serve(self) -> NoReturn:
        while True:
            await self._collect()
            async with self._generator_free:
                batch = self._batch = [waiting for waiting in self._batch if not waiting.reply.cancelled()]
                started = time.monotonic()
                self._stats.running = len(batch)
                answers = await self._answers([waiting.request for waiting in batch])
                self._stats.running = 0
                self._stats.busy_s += time.monotonic() - started
            self._batch = []
            for waiting, answer in zip(batch, answers, strict=True):
                self._reply(waiting, answer, started)

    def _reply(self, waiting: _Waiting, answer: Generation | Exception, started: float) -> None:
        if isinstance(answer, Generation):
            self._stats.answered += 1
            self._stats.tokens += len(answer.token_ids)
        if waiting.reply.cancelled():
            return
        if isinstance(answer, Exception):
            waiting.reply.set_exception(answer)
        else:
            waiting.reply.set_result(replace(answer, queue_ms=(started - waiting.queued_at) * 1000))

    async def _answers(self, requests: list[GenerationRequest]) -> list[Generation | Exception]:
        """Each request's generation, or what went wrong with it: a request that fails does not take others along."""
        if not requests:
            return []
        try:
            answers = await self._on_thread(self._generator.generate, requests)
        except Exception as error:  # the callers must hear of it; a silent engine would hang them all
            if len(requests) > 1:
                return [answer for request in requests for answer in await self._answers([request])]
            if isinstance(error, OpenmicError):
                return [error]
            return [RuntimeError(f"generation failed: {type(error).__name__}: {error}")]
        self._stats.batches += 1
        self._stats.batched_rows += len(requests)
        return list(answers)

    async def _on_thread(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **options))

    async def _collect(self) -> None:
        """All that waits, and what follows each within the wait: a crowd arrives one by one."""
        self._batch = [await self._queue.get()]
        latest = time.monotonic() + self._wait * WAITS_AT_MOST
        while len(self._batch) < self._max_batch:
            try:
                async with asyncio.timeout(min(self._wait, latest - time.monotonic())):  # `wait_for` may swallow an end
                    self._batch.append(await self._queue.get())
            except TimeoutError:
                return
