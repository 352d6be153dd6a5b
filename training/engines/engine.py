"""The interface of all engines, what they count, and what they share."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ...core.errors import AdapterError, ConfigError, GenerationError
from ...core.records import AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from ..student.student import LoadedStudent, StudentKind
from ..student.tokenization import render_prompt

_MOST_PER_TOKEN = 32
"""Characters: only of runs of spaces have tokens more."""

ADAPTERS_KEPT = 3
"""Adapters an engine holds at once; the least recently used one is dropped beyond that."""
CLOSED = "the engine is closed"
BASE_MODEL = 0
"""The adapter version of the bare base model."""


@dataclass(slots=True)
class EngineStats:
    """Counters since the engine began, and what is under way now. All times are seconds."""

    waiting: int = 0
    """Requests that have not begun."""
    running: int = 0
    """Requests that are being answered."""
    answered: int = 0
    tokens: int = 0
    """Tokens generated in answers."""
    batches: int = 0
    """Batches (static) or steps of one token each (continuous); 0 where a server forms them."""
    batched_rows: int = 0
    """Rows of all batches together: over `batches`, the mean batch size."""
    busy_s: float = 0.0
    """Time in which something was being generated."""
    swaps: int = 0
    swap_pause_s: float = 0.0
    """Time for which generation stood still to take in an adapter, all swaps together."""
    last_swap_pause_s: float = 0.0
    restarts: int = 0
    """How often a server of the engine's own ended and was started again."""

    def count_swap(self, pause_s: float) -> None:
        """Note that generation stood still for so long."""
        self.swaps += 1
        self.swap_pause_s += pause_s
        self.last_swap_pause_s = pause_s


class StudentEngine(Protocol):
    """Generates with the adapter version that a request names, if it is loaded.

    It is used from one event loop, by any number of callers at once. A generation is made with one version from its
    first token to its last, and says which. The same request to the same adapter gives the same tokens on the same
    machine, whoever else is asking, except that rounding, which the size of a batch changes, can tip a close decision:
    hardly ever in float32, now and then in bfloat16.
    """

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for: 0, the base model, first; it is always there."""

    @property
    def stats(self) -> EngineStats:
        """A copy of the counters."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation. A caller that is cancelled frees its place.

        Raises:
            GenerationError: it cannot be answered, for a reason of its own or because the engine is closed.
            StudentLostError: nothing can be answered.
            UnansweredError: one of the two; whoever asked may find out which by asking something else.
        """

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        """Verify and load an adapter; no generation in progress is lost, nor changes its version.

        A version that is loaded, and version 0, are left alone. Beyond `ADAPTERS_KEPT` adapters the least recently used
        one is dropped.

        Args:
            ref: The adapter.
            keep: Versions that must not be dropped for it.

        Raises:
            AdapterError: it is broken or does not fit; everything stays as it was.
        """

    async def unload(self, version: int) -> None:
        """Take no more requests for a version, and let go of it once those in progress are answered.

        Raises:
            AdapterError: it is the base model.
        """

    async def close(self) -> None:
        """End; what is in progress or waiting fails with GenerationError. May be called again."""


EngineFactory = Callable[..., StudentEngine]
"""Makes an engine in a student's process: `factory(settings, threads=…, worker=…, **engine_kwargs)`.

`settings` are the `StudentSettings`, `threads` the CPU threads it may use, `worker` what its generations are to name.
A class with such an `__init__` is one. An attribute `beams = True` says that its engines answer requests for beams;
`streams = True`, that `generate` takes `on_text`, which it calls with the text so far as tokens come.
"""


def plain_request(name: str, version: int) -> GenerationRequest:
    """A request for one token that any student can answer."""
    words = (Message(role="user", content="Say OK."),)
    return GenerationRequest(name, words, StudentSampling(temperature=0.0, max_tokens=1), 0, version, hurried=True)


def read_generation(found: Any, request: GenerationRequest) -> Generation:
    """What an engine gave for a request, seen to be its answer.

    Raises:
        GenerationError: it is something else.
    """
    if isinstance(found, Generation) and isinstance(found.text, str):
        return found
    raise GenerationError(
        f"the engine gave {found!r:.80} for the request {request.id!r}; its `generate` is to return a Generation "
        "(openmic.types) with a text"
    )


class ActiveRequests:
    """Counts the requests in progress, by adapter version."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._idle: dict[int, asyncio.Event] = {}
        self._busy_s = 0.0
        self._busy_since = 0.0

    @contextmanager
    def one(self, version: int) -> Iterator[None]:
        """A request of that version is in progress for the time of the block."""
        if not self._counts:
            self._busy_since = time.monotonic()
        self._counts[version] += 1
        try:
            yield
        finally:
            self._counts[version] -= 1
            if not self._counts[version]:
                del self._counts[version]
                self._idle.pop(version, asyncio.Event()).set()
            if not self._counts:
                self._busy_s += time.monotonic() - self._busy_since

    @property
    def count(self) -> int:
        """How many requests are in progress."""
        return self._counts.total()

    @property
    def busy_s(self) -> float:
        """Seconds in which any request was in progress."""
        return self._busy_s + (time.monotonic() - self._busy_since if self._counts else 0.0)

    @property
    def versions(self) -> set[int]:
        """The versions that are in use."""
        return set(self._counts)

    async def drained(self, version: int) -> None:
        """Wait until no request of that version is in progress."""
        if self._counts[version]:
            await self._idle.setdefault(version, asyncio.Event()).wait()


def refuse_unloaded(version: int, loaded: Sequence[int]) -> None:
    """Raise GenerationError for a version that is not loaded."""
    if version not in loaded:
        raise GenerationError(f"adapter version {version} is not loaded; loaded are {list(loaded)}")


def refuse_base_model(version: int) -> None:
    """Raise AdapterError for unloading the base model."""
    if version == BASE_MODEL:
        raise AdapterError("adapter version 0 cannot be unloaded: it is the base model itself")


def refuse_seq2seq(name: str, kind: StudentKind, engine: str) -> None:
    """Raise ConfigError for a student that an engine for causal ones would answer for with nonsense."""
    if kind != "causal":
        raise ConfigError(
            f"student.engine={engine} generates with causal students only, and {name!r} is {kind}; "
            "set student.engine to static"
        )


def refuse_beams(request: GenerationRequest, engine: str) -> None:
    """Raise GenerationError for a request that wants a beam search."""
    if request.sampling.num_beams > 1:
        raise GenerationError(
            f"request {request.id!r} asks for {request.sampling.num_beams} beams, which the engine {engine} does not "
            "search; set sampling.num_beams to 1, or student.engine to static"
        )


def prompt_of(student: LoadedStudent, request: GenerationRequest) -> list[int]:
    """The token ids of a request's prompt.

    Raises:
        StudentError: as `render_prompt`.
        GenerationError: it is so long that no time is spent on its tokens, in which nobody else would be answered.
    """
    length = sum(len(message.content) for message in request.messages)
    if student.positions is not None and length > _MOST_PER_TOKEN * student.positions:
        raise GenerationError(
            f"request {request.id!r} has {length:,} characters, and {student.name!r} knows {student.positions:,} "
            "positions; shorten the input"
        )
    return render_prompt(student, request.messages)


def refuse_too_long(student: LoadedStudent, request: GenerationRequest, prompt_tokens: int) -> None:
    """Raise GenerationError for a request that may outgrow the positions the student knows."""
    positions = student.positions
    wanted = prompt_tokens + (request.sampling.max_tokens if student.kind == "causal" else 0)
    if positions is not None and wanted > positions:
        raise GenerationError(
            f"request {request.id!r} needs {wanted} positions ({prompt_tokens} of them for its prompt), and "
            f"{student.name!r} knows {positions}; shorten the input or lower sampling.max_tokens"
        )


def cut_at_end(ids: Sequence[int], ends: Collection[int], limit: int) -> list[int]:
    """New token ids up to the first that ends a text, that one included, or up to a limit."""
    first = next((place for place, token in enumerate(ids[:limit]) if token in ends), limit)
    return list(ids[: min(first + 1, limit)])


def generation_of(student: LoadedStudent, request: GenerationRequest, ids: Sequence[int], **facts: Any) -> Generation:
    """The generation that new token ids make; it ended by itself if the last one ends a text."""
    ended = bool(ids) and ids[-1] in student.ends
    said = ids[:-1] if ended else ids  # not every token that ends a text is marked as special
    return Generation(
        request_id=request.id,
        text=student.tokenizer.decode(said, skip_special_tokens=True).strip(),
        token_ids=tuple(ids),
        finish_reason="stop" if ended else "length",
        **facts,
    )
