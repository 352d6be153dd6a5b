"""What all who ask one endpoint share: until when nothing is sent to it, and whether it answers at all."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

Tell = Callable[[str], None]
"""Where a line goes that whoever watches the run should read."""

TOLD_FROM_S = 60.0
"""A pause of this length is worth a line of its own."""
_SAME_S = 5.0
"""Calls in flight together are turned away together: pauses that end this close to each other are one."""


def unheard(text: str) -> None:
    """Nobody watches."""


class Gate:
    """Stands before one endpoint's model. Use from one event loop."""

    def __init__(self) -> None:
        self._opens_at, self._reason = 0.0, ""
        self._answered_at = 0.0
        self._stopped = asyncio.Event()
        self.lost = ""
        """Why nothing will be answered any more, once that is so."""

    @property
    def stopped(self) -> bool:
        """Whether nothing is to be sent any more."""
        return self._stopped.is_set()

    def stop(self, lost: str = "") -> None:
        """Nothing is sent from now on, and whoever waits, waits no longer."""
        self.lost = self.lost or lost
        self._stopped.set()

    def pause(self, seconds: float, reason: str, tell: Tell = unheard) -> None:
        """Send nothing for so long, whoever asks."""
        opens_at = time.monotonic() + seconds
        longer = opens_at - max(self._opens_at, time.monotonic())
        if opens_at > self._opens_at:
            self._opens_at, self._reason = opens_at, reason
        if longer > _SAME_S and seconds >= TOLD_FROM_S:
            tell(f"asks to wait {spoken(seconds)}, until {_clock(seconds)}, and is left alone until then: {reason}")

    @property
    def pausing(self) -> str:
        """What to say of the pause there is; empty without one."""
        rest = self._opens_at - time.monotonic()
        return "" if rest <= 0 else f"left alone for {spoken(rest)}, until {_clock(rest)}: {self._reason}"

    async def passed(self) -> None:
        """Wait out the pause there is."""
        while (rest := self._opens_at - time.monotonic()) > 0 and not self.stopped:
            await self.sleep(rest)

    async def sleep(self, seconds: float) -> None:
        """Wait for so long, or until it is stopped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

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

    def answered(self) -> None:
        """It is there, and answers."""
        self._answered_at = time.monotonic()

    def silent_since(self, moment: float) -> bool:
        """Whether it has answered nobody since that moment of `time.monotonic()`."""
        return self._answered_at < moment


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _clock(seconds: float) -> str:
    then = datetime.now().astimezone() + timedelta(seconds=seconds)
    return f"{then:%H:%M:%S}" if seconds < 12 * 3600 else f"{then:%Y-%m-%d %H:%M}"
