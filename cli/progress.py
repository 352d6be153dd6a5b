"""Progress on stderr: live bars on a terminal, a plain line now and then where there is none."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from threading import Event, Lock, Thread
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..core.endpoints.secrets import hidden
from ..core.text import printable
from ..graph.context.progress import Bar
from ..graph.context.progress import Progress as ProgressSink

PLAIN_SECONDS = 10.0
"""How often a bar says where it is when there is no terminal to draw on."""
_SHOWN = 0.1
"""The least rate that one decimal shows."""
_ENOUGH = 3
"""Steps after which their rate says something about those to come: the first ones wait for what is being loaded."""


@contextmanager
def stdout_for_data() -> Iterator[None]:
    """Send to stderr what other people's objects print, at import or when they are called."""
    with redirect_stdout(sys.stderr):
        yield


def progress_display(stream: TextIO | None = None, *, plain: bool = False) -> ProgressSink:
    """Bars where a person watches, lines where a file does, or where they are asked for."""
    console = Console(file=stream or sys.stderr)
    lines = plain or not console.is_terminal
    return PlainProgress(stream or sys.stderr) if lines else TerminalProgress(console)


class TerminalProgress:
    """Live bars that stay on the screen, with what they came to, when they are done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display: Progress | None = None
        self._open = 0

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar with count, rate, note, elapsed and remaining time; several at once share one display."""
        display = self._display = self._display or self._new_display()
        if self._open == 0:
            display.start()
        self._open += 1
        task = display.add_task(label, total=total, rate="", note="")
        try:
            yield _TerminalBar(display, task, unit)
        finally:
            display.stop_task(task)
            self._open -= 1
            if self._open == 0:
                display.stop()
                self._display = None

    def _new_display(self) -> Progress:
        return _Display(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def print(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(printable(hidden(text)), highlight=False, markup=False)


class _Display(Progress):
    """Bars, each with its note on a line of its own, as most terminals are too narrow."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields["note"]:
                yield Text(f"  {task.fields['note']}", style="dim", no_wrap=True, overflow="ellipsis")


class _TerminalBar:
    def __init__(self, display: Progress, task: TaskID, unit: str) -> None:
        self._display, self._task, self._unit = display, task, unit

    def advance(self, by: int = 1) -> None:
        self._display.advance(self._task, by)
        self._show_rate()

    def set(self, completed: int, total: int) -> None:
        self._display.update(self._task, completed=completed, total=total)
        self._show_rate()

    def note(self, text: str) -> None:
        self._display.update(self._task, note=text)

    def _show_rate(self) -> None:
        task = self._display.tasks[self._task]
        if task.elapsed:
            self._display.update(self._task, rate=_rate(task.completed / task.elapsed, self._unit))


class PlainProgress:
    """Lines without animation."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A line every few seconds, whether or not anything is done by then, and one at the end."""
        bar = _PlainBar(self._stream, label, total, unit)
        over = Event()
        heart = Thread(target=bar.beat, args=(over,), name="progress", daemon=True)
        heart.start()
        try:
            yield bar
        finally:
            over.set()
            heart.join()
        bar.line()

    def print(self, text: str) -> None:
        """A line."""
        print(printable(hidden(text)), file=self._stream, flush=True)


def _rate(per_second: float, unit: str) -> str:
    """How fast it goes: by the minute or the hour where a second's would be shown as hardly anything."""
    for number, word in ((per_second, "s"), (60 * per_second, "min")):
        if number >= _SHOWN:
            return f"{number:.1f} {unit}/{word}"
    return f"{3600 * per_second:.1f} {unit}/h"


class _PlainBar:
    """One bar's lines. Whoever finds that one is due prints it: the work as it advances, or the heart beside it."""

    def __init__(self, stream: TextIO, label: str, total: int, unit: str) -> None:
        self._stream, self._label, self._total, self._unit = stream, label, total, unit
        self._done, self._note, self._began = 0, "", time.monotonic()
        self._due = self._began + PLAIN_SECONDS
        self._turn = Lock()

    def advance(self, by: int = 1) -> None:
        self._done += by
        self._now_and_then()

    def set(self, completed: int, total: int) -> None:
        self._done, self._total = completed, total
        self._now_and_then()

    def note(self, text: str) -> None:
        self._note = text
        self._now_and_then()

    def beat(self, over: Event) -> None:
        """Print what is due until it is over, so that long work does not seem to hang."""
        while not over.wait(max(0.0, self._due - time.monotonic())):
            self._now_and_then()

    def line(self) -> None:
        elapsed = time.monotonic() - self._began
        rate = _rate(self._done / max(elapsed, 1e-6), self._unit) if self._done else "waiting for the first"
        left = (self._total - self._done) * elapsed / self._done if self._done >= _ENOUGH else 0.0
        parts = [f"{self._label}: {self._done}/{self._total}", rate, self._note, f"{elapsed:.0f} s"]
        if left >= 1:
            parts.append(f"about {left:.0f} s left")
        print(", ".join(part for part in parts if part), file=self._stream, flush=True)

    def _now_and_then(self) -> None:
        with self._turn:
            if (now := time.monotonic()) >= self._due:
                self._due = now + PLAIN_SECONDS
                self.line()
