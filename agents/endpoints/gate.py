"""What all who ask one endpoint's model share: when it may be asked, and whether it answers at all.

A circuit breaker, among other things. After a few failures in a row, or one that says that nobody is let in, the gate
is shut: nothing is sent but one request at growing intervals, and the first answer opens it. Those who wait take turns
in trying, so that one request that is never answered keeps nobody out.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from ...core.text import spoken
from .failures import Failure, Kind

Tell = Callable[[str], None]
"""Where a line goes that whoever watches the run should read."""

FEW = 5
"""Failures in a row, of whatever requests, after which it is the endpoint's turn to show that it answers."""
FIRST_INTERVAL_S = 0.5
LONGEST_INTERVAL_S = 30.0
TOLD_FROM_S = 60.0
"""A pause of this length is worth a line of its own."""
_FOR_EVER_S = 1e9
"""Dates end in the year 9999."""
_SAME_S = 5.0
"""Calls in flight together are turned away together: pauses that end this close to each other are one."""


def unheard(text: str) -> None:
    """Nobody watches."""


class Gate:
    """Stands before one endpoint's model. Use from one event loop; a call is whatever object stands for it."""

    def __init__(self) -> None:
        self._paused_until, self._asked_why = 0.0, ""
        self._answered_at = 0.0
        self._failures = 0
        self._shut_at: float | None = None
        self._why_shut = ""
        self._interval, self._tries_at, self._patient_until = FIRST_INTERVAL_S, 0.0, 0.0
        self._waiting = dict[object, None]()
        self._trying: object = None
        self._changed, self._stopped = asyncio.Event(), asyncio.Event()
        self.lost = ""
        """Why nothing will be answered any more, once that is so."""

    @property
    def stopped(self) -> bool:
        """Whether nothing is to be sent any more."""
        return self._stopped.is_set()

    @property
    def shut(self) -> bool:
        """Whether nobody is sent but whoever tries if it answers again."""
        return self._shut_at is not None

    def stop(self, lost: str = "") -> None:
        """Nothing is sent from now on, and whoever waits, waits no longer."""
        self.lost = self.lost or lost
        self._stopped.set()
        self._wake()

    def pause(self, seconds: float, reason: str, tell: Tell = unheard) -> None:
        """Send nothing for so long, whoever asks: the endpoint wants it."""
        until = time.monotonic() + seconds
        longer = until - max(self._paused_until, time.monotonic())
        if until > self._paused_until:
            self._paused_until, self._asked_why = until, reason
        if longer > _SAME_S and seconds >= TOLD_FROM_S:
            tell(f"asks to wait {spoken(seconds)}, until {_clock(seconds)}, and is left alone until then: {reason}")

    def failed(self, call: object, failure: Failure, patience_s: float, tell: Tell = unheard) -> bool:
        """Take down a failure that may be the endpoint's; True once patience has run out.

        Args:
            call: Who was sent.
            failure: What came of it.
            patience_s: How long the endpoint may answer nobody. What it asks for beside that does not count.
            tell: Where it goes that the gate is shut.
        """
        now, opened = time.monotonic(), self._shut_at is None
        self._failures += 1
        if self._shut_at is None:
            if patience_s and failure.kind is not Kind.SHUT and self._failures < FEW:
                return False
            self._shut_at, self._interval, self._patient_until = now, FIRST_INTERVAL_S, now + patience_s
        elif self._trying is not call:
            return False  # it was sent before
        self._why_shut = failure.reason
        if opened and patience_s:
            often = "" if failure.kind is Kind.SHUT else f" ({self._failures} failures in a row)"
            tell(
                f"does not answer{often}: {failure.reason}; everybody waits, and one call tries again until "
                f"{_clock(patience_s)} (patience_s)"
            )
        if not patience_s or now >= self._patient_until:
            self._trying = call
            return True
        wait = max(self._interval, failure.wait_s or 0.0)
        self._tries_at, self._trying = now + wait, None
        self._patient_until += wait - self._interval
        self._interval = min(2 * self._interval, LONGEST_INTERVAL_S)
        self._wake()
        return False

    def answered(self, tell: Tell = unheard) -> None:
        """It is there, and answers."""
        self._answered_at, self._failures = time.monotonic(), 0
        if self._shut_at is not None:
            tell(f"answers again after {spoken(self._answered_at - self._shut_at)}")
            self._shut_at = self._trying = None
            self._wake()

    def silent_since(self, moment: float) -> bool:
        """Whether it has answered nobody since that moment of `time.monotonic()`."""
        return self._answered_at < moment

    @property
    def news(self) -> str:
        """What to say while nothing, or next to nothing, is sent; empty where all is well."""
        now = time.monotonic()
        if self._shut_at is not None:
            rest = self._patient_until - now
            until = f", until {_clock(rest)}" if rest > 0 else ""
            return f"does not answer ({self._why_shut}); one call tries again{until}"
        rest = self._paused_until - now
        return "" if rest <= 0 else f"left alone for {spoken(rest)}, until {_clock(rest)}: {self._asked_why}"

    async def passed(self, call: object) -> None:
        """Wait until this call may be sent, or the gate is stopped."""
        self._waiting[call] = None
        try:
            while not self.stopped and not self.lets(call):
                await self._change(self._until() - time.monotonic())
        finally:
            del self._waiting[call]
            if self.shut and self._trying is not call:
                self._wake()  # it may have been its turn when it was cancelled

    def lets(self, call: object) -> bool:
        """Whether this call may be sent now; where the gate is shut, one of those that wait is."""
        if self._until() > time.monotonic():
            return False
        if self._shut_at is not None and self._trying is None and call is next(iter(self._waiting), None):
            self._trying = call
        return self._shut_at is None or self._trying is call

    def leave(self, call: object) -> None:
        """This call is over."""
        if self._trying is call:
            self._trying = None
            self._wake()

    async def sleep(self, seconds: float) -> None:
        """Wait for so long, or until it is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Await something to its end, or until it is stopped: then it is cancelled."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            stopped.cancel()

    def _until(self) -> float:
        """Until when nobody at all is sent."""
        return max(self._paused_until, 0.0 if self._shut_at is None else self._tries_at)

    async def _change(self, seconds: float) -> None:
        """Wait until something has changed; where a time is set, no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds > 0 else None):  # `wait_for` may swallow a cancellation
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _clock(seconds: float) -> str:
    then = datetime.now().astimezone() + timedelta(seconds=min(seconds, _FOR_EVER_S))
    return f"{then:%H:%M:%S}" if seconds < 12 * 3600 else f"{then:%Y-%m-%d %H:%M}"
