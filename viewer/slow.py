"""Figures that take long to count: counted in the background, and shown as last counted in the meantime."""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from threading import Lock
from typing import Any

LEAST_AGE_S = 2.0
"""A figure younger than this is not counted again."""
SHARE = 0.1
"""The share of one core that counting one figure again and again may take."""
MOST = 1000
"""How many figures are remembered."""


@dataclass(slots=True)
class _Figure:
    value: Any
    counted_at: float
    took_s: float


class SlowValues:
    """Remembers what was counted under each key."""

    def __init__(self) -> None:
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="figures")
        self._known: dict[Hashable, _Figure] = {}
        self._running: dict[Hashable, Future[Any]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, count: Callable[[], Any], *, final: bool, patience_s: float) -> Any:
        """The figure as last counted, or None where that takes longer than the patience: ask again later.

        Args:
            key: What the figure is called. One that must be counted afresh gets another key.
            count: Counts it; called in another thread.
            final: Whether it stays the same for ever. One that does not is counted again behind the reader's back when
                it is asked for, the rarer the longer that takes.
            patience_s: How long to wait for a figure that was never counted.
        """
        with self._lock:
            figure = self._known.get(key)
            running = self._running.get(key)
            if running is None and (figure is None or (not final and _stale(figure))):
                running = self._workers.submit(self._count, key, count)
                self._running[key] = running
        if figure is not None:
            return figure.value
        assert running is not None
        try:
            return running.result(timeout=patience_s)
        except Late:
            return None

    def close(self) -> None:
        """Count nothing more; returns when nothing is being counted."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _count(self, key: Hashable, count: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            value = count()
            ended = time.monotonic()
            with self._lock:
                while len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                self._known[key] = _Figure(value, ended, ended - began)
            return value
        finally:
            with self._lock:
                self._running.pop(key, None)


def _stale(figure: _Figure) -> bool:
    return time.monotonic() - figure.counted_at > max(LEAST_AGE_S, figure.took_s / SHARE)
