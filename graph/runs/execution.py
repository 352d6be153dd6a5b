"""Carrying a run out, whatever it does: one process at a time, and its end on record."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import redirect_stdout, suppress
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from ...core.concurrency import ENDING_SIGNALS, run_to_end
from ...core.endpoints.secrets import hidden
from ...core.errors import (
    BudgetError,
    InterruptedRunError,
    NotFoundError,
    OpenmicError,
    RayLostError,
    StoreFaultError,
    told_of_disk,
)
from ...store import Run, Store
from ...store.liveness import held_run, run_folder
from ...store.schema import now
from ...store.tables.transcript import RunStatus
from ...training.ray_watch import while_ray_lives

PATIENCE_S = 600.0
"""How long a run waits for a store that another process keeps locked, or whose server is gone."""
LAST_WORDS_S = 2.0
"""How long it waits to record that it ended."""

T = TypeVar("T")
Work = Callable[[Run], Coroutine[Any, Any, None]]


def execute(store: Store, run_id: str, work: Work) -> Run:
    """Do a run's work to its end; returns the run finished.

    Raises:
        ConfigError: another process is at it.
        NotFoundError: it was deleted meanwhile.
        InterruptedRunError: Ctrl-C, SIGTERM or SIGHUP; everything done is stored.
        BudgetError: the run's budget is spent; likewise.
        OpenmicError: the run failed; it can be resumed once the cause is mended.
    """
    run = store.get(Run, run_id)
    if run is None:
        raise NotFoundError(f"run {run_id} is gone: it was deleted meanwhile (db prune)")
    with held_run(store, run):
        store.patience_s = PATIENCE_S
        try:
            with store.room_for_last_words(run_folder(store, run)):
                store.update(Run, run_id, status="running", error=None)
                run_to_end(partial(_interruptible, store, partial(work, run)))
            store.update(Run, run_id, status="finished", finished_at=now())
        except (KeyboardInterrupt, asyncio.CancelledError):
            _record_end(store, run_id, "interrupted")
            raise _interrupted(run_id) from None
        except (BudgetError, RayLostError, StoreFaultError) as error:
            _record_end(store, run_id, "interrupted", str(error))
            if store.ending:  # it was waiting for the store when it was asked to end
                raise _interrupted(run_id) from None
            raise
        except OSError as error:
            told = told_of_disk(error)
            if told is None:
                _record_end(store, run_id, "failed", f"{type(error).__name__}: {error}")
                raise
            _record_end(store, run_id, "interrupted", told)
            raise OpenmicError(told) from error
        except BaseException as error:
            _record_end(store, run_id, "failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            store.empty_log()
    finished = store.get(Run, run_id)
    assert finished is not None
    return finished


def _record_end(store: Store, run_id: str, status: RunStatus, error: str | None = None) -> None:
    """Record how a run ended early, where the store takes that. Else its lock tells that it has ended."""
    store.patience_s = LAST_WORDS_S
    store.ending, ending = False, store.ending  # this is waited for
    with suppress(StoreFaultError):
        store.update(Run, run_id, status=status, error=None if error is None else hidden(error))
    store.ending = ending


def _interrupted(run_id: str) -> InterruptedRunError:
    return InterruptedRunError(f"run {run_id} was interrupted; everything done so far is stored")


def locked(store: Store, run: Run, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something more with a run that has ended; its status stays what it is.

    Raises:
        ConfigError: another process is at it.
        InterruptedRunError: Ctrl-C, SIGTERM or SIGHUP; everything done is stored.
    """
    with held_run(store, run):
        try:
            run_to_end(partial(_interruptible, store, work))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise InterruptedRunError("interrupted; everything done so far is stored: run the command again") from None


async def _interruptible(store: Store, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """SIGTERM and SIGHUP are interrupts like Ctrl-C: what is in flight is stored. Meanwhile stdout is left alone."""
    if threading.current_thread() is not threading.main_thread():
        return await while_ray_lives(work)  # signals and stdout are the main thread's
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    store.ending = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING_SIGNALS)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}  # as by `nohup`

    def end(number: int, frame: FrameType | None) -> None:
        # Python's handlers run where the loop's do not: while it waits for the store.
        store.ending = True
        handler = before[number]
        if number == signal.SIGINT and callable(handler):
            handler(number, frame)
        else:
            loop.call_soon_threadsafe(task.cancel)

    for number in before:
        signal.signal(number, end)
    try:
        with redirect_stdout(sys.stderr):  # stdout is for data, and Ray tells there of every process that died
            return await while_ray_lives(work)
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)  # whoever called may have a handler of its own
