"""How the graphs tell whoever is watching what they are doing. The command line draws it; a test collects it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """One step's progress."""

    def advance(self, by: int = 1) -> None:
        """So many more are done."""

    def reach(self, completed: int, total: int) -> None:
        """So many of so many are done."""

    def note(self, text: str) -> None:
        """Rates and losses worth showing beside the bar."""


class Progress(Protocol):
    """Where progress goes."""

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A bar for the time of the block."""
        ...

    def say(self, text: str) -> None:
        """One line worth keeping."""


class Silent:
    """Progress that goes nowhere."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar nobody sees."""
        yield _SilentBar()

    def say(self, text: str) -> None:
        """Nothing."""


class _SilentBar:
    def advance(self, by: int = 1) -> None:
        """Nothing."""

    def reach(self, completed: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
