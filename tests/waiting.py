"""Waiting for what comes about elsewhere: for its own time, and never without end."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Let the event loop go on until a condition holds."""
    latest = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest, "it never came to that"
        await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a condition holds that other threads bring about."""
    latest = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest, "it never came to that"
        time.sleep(0.005)
