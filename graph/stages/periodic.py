"""Periodic training: an improvement whenever enough new preferences have come together, while dialogues go on.

One improvement at a time. Dialogues that begin after a promotion are held with the new adapter; those under way keep
theirs, so every dialogue is of one student. How stale what is trained on may become is bounded by
`graph.stages.admission`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager

from ...store.trainable import lag, promoted_versions
from ..context.objective import max_staleness
from ..context.run_context import RunContext
from ..training_data.assemble import new_preferences
from .admission import Admission
from .promotion import improve


class PeriodicTraining:
    """A round's dialogues and trainings. `promoted_version` is the version that new dialogues are held with.

    Without `training.train_every` nothing is trained, and every dialogue begins at once.
    """

    def __init__(self, context: RunContext, round_number: int) -> None:
        self.promoted_version = context.promoted_version
        self._context, self._round = context, round_number
        settings = context.config.training
        self._every = settings.train_every
        most = None if self._every is None else max_staleness(context.plugs, settings)
        self._admission = Admission(self._every or 1, most)
        self._improving: asyncio.Task[None] | None = None
        self._passed_over: Set[str] = frozenset()
        self._changed = asyncio.Event()
        self._looking, self._asked, self._seen = asyncio.Lock(), 0, 0
        self._ended: list[int] = []
        """Of dialogues that have ended since the last look."""

    @asynccontextmanager
    async def dialogue(self, begun_with: int | None) -> AsyncIterator[int]:
        """For the time of one dialogue: gives the version to hold it with; on entering waits until it may begin.

        Args:
            begun_with: The version of a dialogue that an interruption has left unfinished, which does not wait.

        Raises:
            OpenmicError: the last improvement failed.
        """
        if begun_with is None:
            await self._until_admitted()
        # Nothing may come between being admitted and having begun.
        late = 0 if begun_with is None else await self._context.store.patiently(self._lag, begun_with)
        version = self.promoted_version if begun_with is None else begun_with
        ticket = self._admission.begin_dialogue(late)
        try:
            yield version
        finally:
            self._ended.append(ticket)
        await self._look()

    async def finish(self) -> None:
        """Wait for the improvement that is under way."""
        if self._improving is not None:
            await self._improving

    async def abandon(self) -> None:
        """End the improvement that is under way; it is gone on with when the run is resumed."""
        if self._improving is not None and not self._improving.done():
            self._improving.cancel()
            await asyncio.wait([self._improving])

    async def _until_admitted(self) -> None:
        while not self._admission.has_room():
            await self._look()
            if self._admission.has_room() or not (self._admission.under_way or self._admission.training):
                return  # in the second case there is nothing to wait for
            await self._changed.wait()

    async def _look(self) -> None:
        """Begin an improvement if one is due and may begin, and have those that wait look again.

        The store is asked in a thread, by one at a time; those who came before a look began share what it saw.
        """
        if self._every is None:
            return
        self._asked += 1
        mine = self._asked
        async with self._looking:
            if self._improving is not None and self._improving.done():
                self._improving.result()
            if self._seen < mine:
                self._seen = self._asked
                ended, self._ended = self._ended, []
                # While nothing is trained no other version comes to serve, and nobody else begins a training.
                waiting = None if self._admission.training else await asyncio.to_thread(self._waiting)
                # At once, so that at no time an ended dialogue counts neither as under way nor by what it yielded.
                for ticket in ended:
                    self._admission.end_dialogue(ticket)
                if waiting is not None:
                    self._train_if_due(waiting, self._every)
        self._wake()

    def _train_if_due(self, waiting: Mapping[str, bool], every: int) -> None:
        self._admission.waiting = sum(waiting.values())
        self._admission.due = len(waiting) >= every
        if self._admission.due and self._admission.may_train():
            self._admission.begin_training()
            self._improving = asyncio.create_task(self._improve(waiting.keys()))

    def _waiting(self) -> dict[str, bool]:
        """What a training could learn from now, by its id: whether the student wrote any of it."""
        found = new_preferences(self._context, self._context.run.id, self.promoted_version)
        return {row.id: lag is not None for row, lag in found if row.id not in self._passed_over}

    async def _improve(self, waiting: Set[str]) -> None:
        before = self.promoted_version
        try:
            self.promoted_version = await improve(self._context, self._round)
            await self._context.pool.load_adapter(self._context.adapter(self.promoted_version))
            # What a training had before it and did not learn from is no reason for the next one.
            self._passed_over |= waiting & (await asyncio.to_thread(self._waiting)).keys()
        finally:
            self._admission.end_training(promoted=self.promoted_version != before)
            self._wake()

    def _lag(self, version: int) -> int:
        if version == self.promoted_version:
            return 0
        context = self._context
        return lag(version, self.promoted_version, promoted_versions(context.store, context.campaign))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
