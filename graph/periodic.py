"""Periodic training: an improvement whenever enough new preferences have come together, while dialogues go on.

One improvement at a time. Dialogues that begin after a promotion are held with the new adapter; those under way keep
theirs, so every dialogue is of one student.
"""

import asyncio

from .improvement import improve
from .runtime import RunContext
from .stages.fine_tuning import preferences_waiting


class PeriodicTraining:
    """Watches a round's dialogues. `serving` is the version that new dialogues are held with."""

    def __init__(self, context: RunContext, round_number: int, serving: int) -> None:
        self.serving = serving
        self._context, self._round = context, round_number
        self._every = context.config.training.every
        self._improving: asyncio.Task[None] | None = None

    def dialogue_ended(self) -> None:
        """Begin an improvement if one is due and none is under way.

        Raises:
            OpenmicError: the last improvement failed.
        """
        if self._every is None or (self._improving is not None and not self._improving.done()):
            return
        if self._improving is not None:
            self._improving.result()
        if preferences_waiting(self._context) >= self._every:
            self._improving = asyncio.create_task(self._improve())

    async def finish(self) -> int:
        """Wait for the improvement that is under way; returns the version that serves."""
        if self._improving is not None:
            await self._improving
        return self.serving

    async def abandon(self) -> None:
        """End the improvement that is under way; it is gone on with when the run is resumed."""
        if self._improving is not None and not self._improving.done():
            self._improving.cancel()
            await asyncio.wait([self._improving])

    async def _improve(self) -> None:
        self.serving = await improve(self._context, self._round, self.serving)
        await self._context.pool.load_adapter(self._context.adapter(self.serving))
