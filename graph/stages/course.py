"""Where a campaign stands in the whole: at which stage, and how long what is to come will take.

How long each takes at least is foreseen before the run (`graph.preflight.forecast`). What has been measured since takes
its place: a stage that was gone through before takes as long again, others as much longer than foreseen as those before
them did, and the one that is under way as long as it is going.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...core.text import spoken
from ..context.progress import Bar, Progress

BEFORE, IN_EACH_ROUND, AFTER = (
    ("demonstrate", "imitate"),
    ("collect", "fine-tune", "evaluate (dev)"),
    ("evaluate (test)",),
)
"""The stages of a campaign, as they are called where they are foreseen."""
SETTLED_S = 1.0
"""What is done of a bar by then may have been done before the run was interrupted: its speed is measured from there."""
ENOUGH = 3
"""Items after which their speed says something about those to come."""
MOST_BEFORE = 0.1
"""A stage of which more was done before says nothing about the length of others."""

AS_FORESEEN_S = 30.0
"""As if so much had gone as foreseen: of a stage of a moment, what starting takes says nothing about the others."""


@dataclass(slots=True)
class Step:
    """One stage, gone through once."""

    name: str
    foreseen_s: float
    took_s: float | None = None
    """Where all of it was done here, and it is over."""


def steps_of(foreseen: Mapping[str, float], rounds: int) -> list[Step]:
    """A campaign's stages in their order.

    Args:
        foreseen: Seconds of each, all rounds together, without those that the campaign does not have.
        rounds: How many it has.
    """
    times = [*((name, 1) for name in BEFORE), *((name, rounds) for name in IN_EACH_ROUND * rounds)]
    times += [(name, 1) for name in AFTER]
    return [Step(name, foreseen[name] / often) for name, often in times if name in foreseen]


class Course:
    """Progress of a campaign, whose bars say where it stands in the whole.

    Args:
        progress: Where it goes.
        steps: The campaign's stages.
        clock: Seconds from whenever.
    """

    def __init__(self, progress: Progress, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._steps, self._clock = progress, list(steps), clock
        self._at, self._began, self._whole = -1, clock(), False
        self._bar: _Counted | None = None

    def begin(self, name: str) -> None:
        """The next stage of this name begins, and those before it are over; one that is not foreseen is none."""
        ahead = (place for place in range(self._at + 1, len(self._steps)) if self._steps[place].name == name)
        if (place := next(ahead, None)) is None:
            return
        now = self._clock()
        if self._at >= 0 and self._whole:
            self._steps[self._at].took_s = now - self._began
        self._at, self._began, self._whole, self._bar = place, now, False, None

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar that has the words on the whole before its note."""
        with self._progress.bar(label, total, unit) as bar:
            counted = self._bar = _Counted(bar, total, self.words, self._clock)
            counted.note("")
            yield counted
            self._whole = counted.whole
            counted.note(counted.noted)

    def print(self, text: str) -> None:
        """A line."""
        self._progress.print(text)

    def words(self) -> str:
        """Stage so much of so many, and the time left of the whole; empty before the first."""
        if self._at < 0:
            return ""
        left, measured = self._left_s()
        words = f"stage {self._at + 1} of {len(self._steps)}"
        return words if left < 1 else f"{words}, {'about' if measured else 'at least'} {spoken(left)} left"

    def _left_s(self) -> tuple[float, bool]:
        """Seconds to the end of the run, and whether anything of them was measured."""
        step, elapsed = self._steps[self._at], self._clock() - self._began
        of_bar = None if self._bar is None else self._bar.left_s()
        expected = max(0.0, self._expected_s(step) - elapsed)
        here = expected if of_bar is None else of_bar
        if step.name.startswith("evaluate"):  # with a bar for each version
            here = max(here, expected)
        rest = sum(map(self._expected_s, self._steps[self._at + 1 :]))
        return here + rest, of_bar is not None or any(step.took_s is not None for step in self._steps)

    def _expected_s(self, step: Step) -> float:
        measured = [one for one in self._steps if one.took_s is not None]
        for one in reversed(measured):
            if one.name == step.name:
                return one.took_s or 0.0
        took, foreseen = sum(one.took_s or 0.0 for one in measured), sum(one.foreseen_s for one in measured)
        return step.foreseen_s * (took + AS_FORESEEN_S) / (foreseen + AS_FORESEEN_S)


class _Counted:
    """A bar that knows how far it is, and since when."""

    def __init__(self, bar: Bar, total: int, words: Callable[[], str], clock: Callable[[], float]) -> None:
        self._bar, self._total, self._words, self._clock = bar, total, words, clock
        self._began, self._done = clock(), 0
        self._settled: tuple[float, int] | None = None
        self.noted = ""
        """What the work itself says of it."""

    @property
    def whole(self) -> bool:
        """Whether hardly any of it had been done before, as far as that can be known."""
        return self._settled is not None and self._settled[1] <= MOST_BEFORE * self._total

    def left_s(self) -> float | None:
        """Seconds by its speed so far; None where too little is done."""
        if self._settled is None or self._done - self._settled[1] < ENOUGH:
            return None
        since, before = self._settled
        return (self._total - self._done) * (self._clock() - since) / (self._done - before)

    def advance(self, by: int = 1) -> None:
        """So many more are done."""
        self._count(self._done + by)
        self._bar.advance(by)

    def set(self, completed: int, total: int) -> None:
        """So many of so many are done."""
        self._total = total
        if self._settled is None and completed:  # a training may go on from a checkpoint
            self._settled = self._clock(), completed
        self._count(completed)
        self._bar.set(completed, total)

    def note(self, text: str) -> None:
        """What is worth showing beside the words on the whole."""
        self.noted = text
        self._bar.note("; ".join(part for part in (self._words(), text) if part))

    def _count(self, done: int) -> None:
        now = self._clock()
        if self._settled is None and now - self._began >= SETTLED_S:
            self._settled = (now, self._done) if self._done else (self._began, 0)
        self._done = done
