"""Autoscaling of the pool by requests per actor, once they have stayed high or low for a while.

Only decides; `training.pool.pool` starts and ends actors. It reads no clock, so that time can be told to it.
"""

from typing import Literal

from ...core.student_settings import PoolSettings


class Scaling:
    """Hysteresis: two thresholds, each with a time that it must have been passed for, and one actor at a time."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._above_since: float | None = None
        self._below_since: float | None = None

    def decide(self, now: float, *, actors: int, requests: int) -> Literal[-1, 0, 1]:
        """How many actors to add.

        Args:
            now: Seconds on a clock that never goes back.
            actors: Actors that serve or are about to; not those that are being let go.
            requests: Requests in flight and waiting, on all of them.
        """
        settings = self._settings
        above = actors < settings.most and requests > settings.scale_up_above * actors
        # The actors that would be left must not want another one at once.
        below = (
            actors > settings.fewest
            and requests < settings.scale_down_below * actors
            and requests <= settings.scale_up_above * (actors - 1)
        )
        self._above_since = _since(self._above_since, now, above)
        self._below_since = _since(self._below_since, now, below)
        if self._above_since is not None and now - self._above_since >= settings.scale_up_after_s:
            self._above_since = None
            return 1
        if self._below_since is not None and now - self._below_since >= settings.scale_down_after_s:
            self._below_since = None
            return -1
        return 0


def _since(before: float | None, now: float, holds: bool) -> float | None:
    if not holds:
        return None
    return now if before is None else before
