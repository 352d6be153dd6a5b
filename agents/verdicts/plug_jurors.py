"""Jurors that are Python objects: a scorer, whose scores decide, and anything with a `compare`.

Neither is asked over HTTP. What each answered is a ballot all the same, so every verdict says what it is made of.
"""

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ...core.errors import PlugError
from ...core.plugs import call_plug
from ...core.records import Input, Role
from ..llm import PlugReply
from .verdict import Ballot, Opinion, opinion

Score = Callable[[Input, Sequence[str]], Awaitable[Sequence[float]]]
"""One score for each output for an input; higher is better."""

_NAMED: dict[object, float] = {"first": 1.0, "second": 0.0, "tie": 0.5, "win": 1.0, "loss": 0.0}


class ScorerJuror:
    """Prefers the output with the higher score. No order plays a part, so both orders say the same.

    With `scale` the difference is read as log-odds, p = 1 / (1 + exp(-difference / scale)): for reward models, which
    are trained on just that (Bradley and Terry 1952). Without it the better score is certain.
    """

    def __init__(
        self, score: Score, role: Role, use: str, member: int, *, margin: float, scale: float | None, tie_margin: float
    ) -> None:
        """A scorer as juror number `member`; scores that differ by no more than `margin` are a tie."""
        self._score, self._role, self._use, self._member = score, role, use, member
        self._margin, self._scale, self._tie_margin = margin, scale, tie_margin

    async def opinion(self, source: Input, first: str, second: str, *, overused: Sequence[str] = ()) -> Opinion:
        """The opinion that both scores make; each score is a ballot.

        Raises:
            PlugError: the scorer failed, or gave something that is no score.
        """
        began = time.monotonic()
        scores = await self._score(source, (first, second))
        took = (time.monotonic() - began) * 1000
        p = self._p_first(scores[0] - scores[1])
        ballots = [
            Ballot(PlugReply(self._role, self._use, f"{score:.6g}", took), self._member, forward, p, "score")
            for forward, score in zip((True, False), scores, strict=True)
        ]
        return opinion(ballots, self._tie_margin)

    def _p_first(self, difference: float) -> float:
        if abs(difference) <= self._margin:
            return 0.5
        if self._scale is None:
            return 1.0 if difference > 0 else 0.0
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, difference / self._scale))))


class CompareJuror:
    """Asks an object's `compare(input, first, second)` in both orders.

    What it may return: p(first is better) in [0, 1], True or False, or one of "first", "second", "tie".
    """

    def __init__(self, critic: Any, role: Role, use: str, member: int, *, tie_margin: float) -> None:
        self._critic, self._role, self._use, self._member = critic, role, use, member
        self._tie_margin = tie_margin

    async def opinion(self, source: Input, first: str, second: str, *, overused: Sequence[str] = ()) -> Opinion:
        """The opinion that both orders make; each order's answer is a ballot.

        Raises:
            PlugError: the object failed, or returned something else.
        """
        ballots = []
        for forward, one, other in ((True, first, second), (False, second, first)):
            began = time.monotonic()
            found = await call_plug(
                self._critic.compare, source, one, other, about=f"{self._use}.compare", overused=list(overused)
            )
            took = (time.monotonic() - began) * 1000
            p = self._read(found)
            reply = PlugReply(self._role, self._use, f"{found}", took)
            ballots.append(Ballot(reply, self._member, forward, p if forward else 1 - p, "function"))
        return opinion(ballots, self._tie_margin)

    def _read(self, found: Any) -> float:
        if isinstance(found, str):
            value = _NAMED.get(found.strip().lower())
        else:
            try:
                value = float(found)
            except (TypeError, ValueError, OverflowError):
                value = None
        if value is None or not 0 <= value <= 1:
            raise PlugError(
                f"{self._use}.compare returned {found!r:.80}; it is to return p(first is better) in [0, 1], True or "
                'False, or "first", "second" or "tie"'
            )
        return value
