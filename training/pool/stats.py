"""What the pool is doing: a line for the progress display, and the same for Ray's metrics."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .metrics import QUEUE_DEPTH, STALENESS, TOKENS, UTILISATION
from .replica import Replica

_INTERVALS = 10
"""Over which the rate of tokens is taken: over one alone it is nothing for most, and much for some."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The pool at one moment."""

    actors: int
    """All there are, whether they may be given work or not."""
    serving: int
    """Actors that may be given work."""
    in_flight: int
    waiting: int
    """Requests that no student has room for yet."""
    tokens_per_second: float
    """Over the last intervals that were measured, as texts are counted when they are whole."""
    utilisation: float
    """Mean share of the last interval in which a student had anything to do, from 0 to 1."""
    promoted_version: int
    swap_pauses: tuple[tuple[float, ...], ...] = ()
    """Of each student, for how many seconds it generated nothing each time it was given an adapter."""

    def __str__(self) -> str:
        """One short line."""
        return f"{self.work}, adapter v{self.promoted_version}"

    @property
    def work(self) -> str:
        """The line without the version that serves, for work that names its own."""
        students = f"{self.serving} of {self.actors} students" if self.actors > 1 else "1 student"
        waiting = f" + {self.waiting} waiting" if self.waiting else ""
        return (
            f"{students}, {self.in_flight} in flight{waiting}, {self.tokens_per_second:.0f} tokens/s, "
            f"{self.utilisation:.0%} busy"
        )


class Meter:
    """Counts what is answered, and measures rates from one `measure` to the next."""

    def __init__(self) -> None:
        self.tokens_per_second = 0.0
        self.utilisation = 0.0
        self._tokens = 0
        self._lately: deque[tuple[float, int]] = deque(maxlen=_INTERVALS)
        self._since = time.monotonic()
        self._busy: dict[int, float] = {}

    def answered(self, tokens: int, staleness: int) -> None:
        """Count one generation, made with an adapter that so many promoted versions are newer than."""
        self._tokens += tokens
        TOKENS.record(tokens)
        STALENESS.record(staleness)

    def measure(self, replicas: Sequence[Replica], waiting: int) -> None:
        """End an interval and begin the next one."""
        now = time.monotonic()
        seconds, self._since = max(now - self._since, 1e-9), now
        self._lately.append((seconds, self._tokens))
        self._tokens = 0
        self.tokens_per_second = sum(tokens for _, tokens in self._lately) / sum(taken for taken, _ in self._lately)
        busy = {replica.number: replica.busy_seconds for replica in replicas}
        shares = {n: min(1.0, (total - self._busy.get(n, 0.0)) / seconds) for n, total in busy.items()}
        self.utilisation = sum(shares.values()) / len(shares) if shares else 0.0
        shares_now = dict.fromkeys(self._busy, 0.0) | shares  # who was let go would else be at its last share for ever
        self._busy = busy
        for number, share in shares_now.items():
            UTILISATION.record(share, student=str(number))
        QUEUE_DEPTH.record(waiting + sum(replica.in_flight for replica in replicas))
