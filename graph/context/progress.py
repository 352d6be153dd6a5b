"""How the graphs tell whoever is watching what they are doing. The command line draws it; a test collects it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Protocol

from ...core.concurrency import beside

NOTE_SECONDS = 1.0
"""How often a changing note is taken down."""


class Bar(Protocol):
    """One step's progress."""

    def advance(self, by: int = 1) -> None:
        """So many more are done."""

    def set(self, completed: int, total: int) -> None:
        """So many of so many are done."""

    def note(self, text: str) -> None:
        """Rates and losses worth showing beside the bar."""


class Progress(Protocol):
    """Where progress goes."""

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A bar for the time of the block."""
        ...

    def print(self, text: str) -> None:
        """One line worth keeping."""


@asynccontextmanager
async def live_note(bar: Bar, line: Callable[[], object]) -> AsyncIterator[None]:
    """Show a changing line beside a bar for the time of the block: now, every second, at the end."""

    async def keep() -> None:
        while True:
            bar.note(str(line()))
            await asyncio.sleep(NOTE_SECONDS)

    try:
        async with beside(keep()):
            yield
    finally:
        bar.note(str(line()))


class Silent:
    """Progress that goes nowhere."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar nobody sees."""
        yield _SilentBar()

    def print(self, text: str) -> None:
        """Nothing."""


class _SilentBar:
    def advance(self, by: int = 1) -> None:
        """Nothing."""

    def set(self, completed: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
