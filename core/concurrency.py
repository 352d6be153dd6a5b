"""Many things at once, but not too many; and coroutines from where there is no event loop, or one already."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What asks a process to end beside Ctrl-C: a scheduler, and a terminal that was closed (not on Windows)."""


class Cancellable:
    """Work of `run_to_end` in other threads' loops, to be cancelled from here; what begins later is cancelled too."""

    def __init__(self) -> None:
        self._running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
        self._cancelled = False

    def begin(self, task: asyncio.Task[Any]) -> None:
        """Know of a task that begins in the running loop."""
        self._running.append((asyncio.get_running_loop(), task))
        if self._cancelled:
            task.cancel()

    def end(self, task: asyncio.Task[Any]) -> None:
        """Forget it."""
        self._running = [(loop, one) for loop, one in self._running if one is not task]

    def cancel(self) -> None:
        """Cancel all of it."""
        self._cancelled = True
        for loop, task in list(self._running):
            with suppress(RuntimeError):  # the loop has just come to its end
                loop.call_soon_threadsafe(task.cancel)


CANCELLABLE: ContextVar[Cancellable | None] = ContextVar("CANCELLABLE", default=None)
"""Where work that `run_to_end` runs is put down, by whoever wants to be able to cancel it."""


async def bounded(work: Callable[[T], Awaitable[None]], items: Iterable[T], limit: int) -> None:
    """Do `work` on every item, at most `limit` at a time, in the items' order.

    The first exception cancels the rest and is raised.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let a coroutine go on for the time of the block. When that is left it is cancelled, and has come to rest."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def run_to_end(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of its own; works where a loop runs already, as in a notebook.

    Raises:
        KeyboardInterrupt: Ctrl-C, once the work has come to rest; asyncio.CancelledError likewise for SIGTERM.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_cancellable(work))
    return _in_a_thread(work)


async def _cancellable(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The work, known to whoever may want to cancel it from another thread."""
    running, task = CANCELLABLE.get(), asyncio.current_task()
    assert task is not None
    if running is None:
        return await work()
    running.begin(task)
    try:
        return await work()
    finally:
        running.end(task)


def _in_a_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    begun = Cancellable()
    context = copy_context()
    context.run(CANCELLABLE.set, begun)
    with ThreadPoolExecutor(1, thread_name_prefix="openmic-run") as thread:
        future = thread.submit(context.run, asyncio.run, _cancellable(work))
        try:
            return future.result()
        except KeyboardInterrupt:
            begun.cancel()
            with suppress(BaseException):
                future.result()
            raise
