"""A note beside a bar that changes by itself."""

import asyncio
from itertools import count

import pytest

from openmic.graph.context import progress
from openmic.graph.context.progress import live_note


class Notes:
    """A bar that keeps its notes."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.several = asyncio.Event()

    def note(self, text: str) -> None:
        self.taken.append(text)
        if len(self.taken) >= 3:
            self.several.set()

    def advance(self, by: int = 1) -> None: ...

    def set(self, completed: int, total: int) -> None: ...


def test_a_note_is_taken_down_now_and_then_and_at_the_end_and_no_more_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "NOTE_SECONDS", 0.001)

    async def scenario() -> None:
        bar, numbers = Notes(), count()
        async with live_note(bar, lambda: next(numbers)):
            await bar.several.wait()
        assert bar.taken == [str(number) for number in range(len(bar.taken))]
        assert next(numbers) == len(bar.taken)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
