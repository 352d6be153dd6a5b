"""The `slots` engine: requests take slots as they come, and leave them within a few steps of their end.

All passes have one of few shapes, so that a GPU replays them as CUDA graphs; on a CPU they are just computed. Adapters
stand side by side in one product (`lora`), so that taking one in stops generation while its numbers are copied.

For causal students whose layers see the whole text, without beam search. On a GPU it was not measured yet.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

import torch

from ....core.errors import ConfigError, GenerationError, MemoryFullError, UnansweredError
from ....core.records import Generation, GenerationRequest
from ....core.student_settings import SlotsSettings
from ...student.memory import ran_out
from ...student.student import LoadedStudent, sees_whole_text
from ..adapter_slots import ReadAdapter
from ..batch_limit import BatchLimit
from ..engine import (
    CLOSED,
    EngineStats,
    cut_at_end,
    generation_of,
    prompt_of,
    refuse_beams,
    refuse_seq2seq,
    refuse_too_long,
    refuse_unloaded,
)
from ..local_engine import LocalEngine
from .decoder import NARROWEST_PROMPT, STRIDE, Beginning, SlotDecoder, rows_computed
from .lora import StackedAdapters

NAME = "slots"


@dataclass(slots=True, eq=False)
class _Held:
    """A request, from when it came to its answer."""

    request: GenerationRequest
    prompt: tuple[int, ...]
    reply: "asyncio.Future[Generation]"
    came: float
    row: int = -1
    began: float = 0.0
    said: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Tokens that it may still say."""
        return self.request.sampling.max_tokens - len(self.said)

    @property
    def columns(self) -> int:
        """Columns it takes now."""
        return len(self.prompt) + len(self.said)


class SlotsEngine(LocalEngine[StackedAdapters]):
    """A `StudentEngine`.

    Raises:
        ConfigError: the student is not causal, its layers look back only so far, or it keeps no keys and values.
    """

    def __init__(
        self, student: LoadedStudent, *, max_batch: int, limits: SlotsSettings, threads: int, worker: str = "local"
    ) -> None:
        refuse_seq2seq(student.name, student.kind, NAME)
        if not sees_whole_text(student.model):
            raise ConfigError(
                f"student.engine=slots has every layer see the whole text, and layers of {student.name!r} look back "
                "only so far; set student.engine to static"
            )
        # One thread owns the model: OpenMP's thread count belongs to a thread, as does CUDA's device.
        self._thread = ThreadPoolExecutor(1, initializer=_begin_thread, initargs=(threads, student.device))
        self._student, self._worker = student, worker
        self._columns = min(limits.max_length, student.positions or limits.max_length)
        super().__init__(StackedAdapters(student))
        self._limit = BatchLimit(max_batch)
        self._together = limits.prefill_tokens
        try:
            self._decoder: SlotDecoder | None = self._thread.submit(_within, self._made).result()
        except RuntimeError as error:
            if not ran_out(error):
                raise
            raise ConfigError(
                f"there is no memory for student.max_batch={max_batch} slots of {self._columns} tokens each; "
                "lower student.max_batch or student.slots.max_length"
            ) from error
        self._free = list(range(max_batch))
        self._waiting: deque[_Held] = deque()
        self._running: dict[int, _Held] = {}
        self._wake = asyncio.Event()
        self._between_steps = asyncio.Lock()
        self._loop: asyncio.Task[NoReturn] | None = None
        self._closed = False
        self._stats = EngineStats()

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters."""
        running = len(self._running)
        return replace(self._stats, running=running, waiting=self._active.count - running, busy_s=self._active.busy_s)

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation; it begins with the next free slot."""
        if self._closed:
            raise GenerationError(CLOSED)
        refuse_unloaded(request.adapter, self.loaded)
        refuse_beams(request, NAME)
        prompt = tuple(prompt_of(self._student, request))
        self._refuse_too_long(request, len(prompt))
        self._adapters.touch(request.adapter)
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())
        reply: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        with self._active.one(request.adapter):
            self._waiting.append(_Held(request, prompt, reply, time.monotonic()))
            self._wake.set()
            return await reply

    async def close(self) -> None:
        """End after the steps that are under way; whoever waits hears of it."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        for held in [*self._running.values(), *self._waiting]:
            if not held.reply.done():
                held.reply.set_exception(GenerationError(CLOSED))
        await asyncio.to_thread(self._thread.shutdown)
        self._adapters.detach()

    async def _put(self, version: int, adapter: ReadAdapter, leaving: Sequence[int]) -> None:
        async with self._between_steps:
            began = time.monotonic()
            moved = await self._on_thread(partial(self._adapters.load, version, adapter, leaving))
            if moved and self._decoder is not None:
                self._decoder.graphs.clear()
            self._stats.count_swap(time.monotonic() - began)

    async def _drop(self, version: int) -> None:
        self._adapters.remove(version)

    async def _serve(self) -> NoReturn:
        while True:
            if not self._running and not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            async with self._between_steps:
                self._let_go(held for held in self._running.values() if held.reply.done())  # its caller gave up
                failure: Exception | None = None
                try:
                    await self._advance()
                except Exception as error:  # the callers must hear of it; a silent engine would hang them all
                    failure = error
                if failure is not None and ran_out(failure):
                    failure.__traceback__ = None  # it holds what was being computed
                    self._go_on_with_less()
                elif failure is not None:
                    self._fail(failure)
                self._stats.running = len(self._running)

    def _go_on_with_less(self) -> None:
        """Begin what was being answered anew, fewer at a time. Where it was one alone it hears that it is too much."""
        running = sorted(self._running.values(), key=lambda held: held.came)
        self._running.clear()
        self._decoder = None  # it is made again, smaller, with the next step
        self._together = max(NARROWEST_PROMPT, self._together // 2)
        last = running[-1]
        try:
            self._limit.lessen(len(running), last.request.id, len(last.prompt) + last.request.sampling.max_tokens)
        except (GenerationError, MemoryFullError) as error:
            if not last.reply.done():
                last.reply.set_exception(error)
            running.pop()
        for held in reversed(running):
            held.row, held.said = -1, []
            self._waiting.appendleft(held)
        self._free = list(range(self._limit.most))

    async def _advance(self) -> None:
        moves, begun = self._closed_up(), self._admitted()
        running = list(self._running.values())
        if not running:
            return
        steps = min(STRIDE, max(held.left for held in running))
        rows, longest = 1 + max(self._running), max(held.columns for held in running) + steps
        found = await self._on_thread(partial(self._steps, moves, begun, rows, longest, steps))
        self._stats.batches += steps
        ended = []
        for held in running:
            new = cut_at_end(found[held.row], self._student.ends, held.left)
            self._stats.batched_rows += len(new)
            held.said += new
            if held.left == 0 or held.said[-1] in self._student.ends:
                self._answer(held)
                ended.append(held)
        self._let_go(ended)

    def _admitted(self) -> list[_Held]:
        """Requests that get a slot now, the lowest first, so that few rows are computed."""
        begun: list[_Held] = []
        while self._waiting and self._free:
            held = self._waiting.popleft()
            if held.reply.done():
                continue
            held.row, held.began = self._free.pop(0), time.monotonic()
            self._running[held.row] = held
            begun.append(held)
        return begun

    def _closed_up(self) -> list[tuple[int, int]]:
        """Rows to be moved from where to where, so that fewer are computed."""
        moves: list[tuple[int, int]] = []
        rows = rows_computed(len(self._running))
        for row in sorted(row for row in self._running if row >= rows):
            held = self._running.pop(row)
            held.row = self._free.pop(0)
            self._running[held.row] = held
            self._free.append(row)
            moves.append((row, held.row))
        return moves

    def _let_go(self, ended: Any) -> None:
        for held in list(ended):
            del self._running[held.row]
            self._free.append(held.row)
        self._free.sort()

    def _answer(self, held: _Held) -> None:
        if held.reply.done():
            return
        self._stats.answered += 1
        self._stats.tokens += len(held.said)
        held.reply.set_result(
            generation_of(
                self._student,
                held.request,
                held.said,
                prompt_tokens=len(held.prompt),
                adapter_version=held.request.adapter,
                queue_ms=(held.began - held.came) * 1000,
                latency_ms=(time.monotonic() - held.began) * 1000,
                worker=self._worker,
                batch_limit=self._limit.lessened,
            )
        )
        self._limit.answered(len(held.prompt) + held.request.sampling.max_tokens)

    def _fail(self, error: Exception) -> None:
        """All that have a slot hear what went wrong; those that wait for one are tried."""
        for held in self._running.values():
            if not held.reply.done():
                held.reply.set_exception(
                    UnansweredError(f"request {held.request.id!r} failed: {type(error).__name__}: {error}")
                )
        self._let_go(self._running.values())

    def _refuse_too_long(self, request: GenerationRequest, prompt_tokens: int) -> None:
        refuse_too_long(self._student, request, prompt_tokens)
        wanted = prompt_tokens + request.sampling.max_tokens
        if wanted > self._columns:
            raise GenerationError(
                f"request {request.id!r} needs room for {wanted} tokens; raise student.slots.max_length, which is "
                f"{self._columns}"
            )

    async def _on_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _within, work)

    def _steps(
        self, moves: list[tuple[int, int]], begun: list[_Held], rows: int, longest: int, steps: int
    ) -> list[list[int]]:
        self._decoder = decoder = self._decoder or self._made()
        decoder.move(moves, longest)
        decoder.begin(
            [
                Beginning(held.row, held.prompt, held.request.sampling, held.request.seed, held.request.adapter)
                for held in begun
            ]
        )
        return decoder.go_on(rows, longest, steps)

    def _made(self) -> SlotDecoder:
        self._adapters.choose(None)  # it looks at one pass of the bare student
        rows, columns = self._limit.most, self._columns
        return SlotDecoder(self._student, self._adapters, rows=rows, columns=columns, together=self._together)


def _begin_thread(threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)


def _within(work: Callable[[], Any]) -> Any:
    with torch.inference_mode():
        return work()
