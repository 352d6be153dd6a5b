"""A jury: one juror or several compare two texts, and their opinions add up to a verdict.

Whoever can give an opinion from both orders may sit on it: a model of an endpoint's (`pairwise`), a scorer or any
Python object that compares (`plug_jurors`).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ...core.dialogue_settings import VerdictSettings
from ...core.records import Input
from .verdict import Opinion, Verdict, verdict


class Juror(Protocol):
    """One who compares."""

    async def opinion(self, source: Input, first: str, second: str, *, overused: Sequence[str] = ()) -> Opinion:
        """The opinion on `first` against `second`, two outputs for the input `source`, with the ballots behind it."""
        ...


class Jury:
    """All who compare in one role. Keeps no state and stores nothing."""

    def __init__(self, jurors: Sequence[Juror], settings: VerdictSettings) -> None:
        self._jurors, self._settings = tuple(jurors), settings

    async def compare(self, source: Input, first: str, second: str, *, overused: Sequence[str] = ()) -> Verdict:
        """The verdict on `first` against `second`, two outputs for the input `source`.

        Args:
            source: The input that both answer.
            first: One output.
            second: The other.
            overused: Endings that are no longer to be rewarded.

        Raises:
            ReplyError: what a juror answers names neither text, however often it is asked.
            EndpointError: a juror's endpoint does not answer.
        """
        opinions = await asyncio.gather(
            *(juror.opinion(source, first, second, overused=overused) for juror in self._jurors)
        )
        return verdict(opinions, self._settings.jury, self._settings.tie_margin)
