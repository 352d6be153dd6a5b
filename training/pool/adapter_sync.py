"""Adapter sync: which adapters the students hold, and how a new one reaches all while they answer.

An adapter is loaded on one student after the other, so that most of them answer meanwhile. A broken one is refused by
the first that verifies it; requests name their version, so nothing asks for one that is not loaded everywhere.
"""

import asyncio
from collections.abc import Callable, Sequence

from ...core.errors import AdapterError
from ...core.records import NO_ADAPTER, AdapterRef
from .replica import LOST, Replica

RESTORED = 3
"""How many adapters a restarted student is given; engines do not hold many more."""


class AdapterSync:
    """The adapters of a pool. One adapter is loaded, or one restarted student brought up to date, at a time."""

    def __init__(self, on_death: Callable[[Replica, str], None]) -> None:
        """`on_death` is told of a student that died meanwhile, and in which incarnation of its process."""
        self._known: dict[int, AdapterRef] = {}  # the most recently loaded or asked for stands last
        self._promoted: list[int] = [NO_ADAPTER.version]
        self._on_death = on_death
        self._one_at_a_time = asyncio.Lock()

    @property
    def promoted(self) -> int:
        """The version that was promoted last, which no student drops; at first 0, the base model."""
        return self._promoted[-1]

    def promote(self, version: int) -> None:
        """Note that a version is the promoted one from now on."""
        if version != self.promoted:
            self._promoted.append(version)

    def staleness(self, version: int) -> int:
        """How many versions were promoted that are newer than this one. A candidate that waits is not stale."""
        return len({promoted for promoted in self._promoted if promoted > version})

    def touch(self, version: int) -> None:
        """Note that a version is asked for: a restarted student is given those that were asked for last."""
        if version in self._known:
            self._known[version] = self._known.pop(version)

    @property
    def needed(self) -> list[AdapterRef]:
        """What a restarted student is given: the adapters that were in use last, and the promoted one at the end."""
        others = [ref for version, ref in self._known.items() if version != self.promoted]
        if self.promoted in self._known:
            return [*others[1 - RESTORED :], self._known[self.promoted]]
        return others[-RESTORED:]

    async def load_everywhere(self, replicas: Sequence[Replica], ref: AdapterRef) -> bool:
        """Load an adapter on every replica that serves; returns whether there was any.

        Raises:
            AdapterError: the adapter is broken, or a student cannot read it. The pool does not know it then.
        """
        async with self._one_at_a_time:
            loaded = False
            for replica in list(replicas):
                if not replica.serving:
                    continue
                incarnation = replica.incarnation
                try:
                    await replica.load_adapter(ref, keep=[self.promoted])
                except LOST:
                    # It is given what it lacks by `sync_replica`, once it is back.
                    self._on_death(replica, incarnation)
                else:
                    loaded = True
            if loaded:
                self._known.pop(ref.version, None)
                self._known[ref.version] = ref
            return loaded

    async def sync_replica(self, replica: Replica) -> None:
        """Load what the others have on a replica that was restarted, and let it serve. Raises what its calls raise.

        Others wait for it only at the end, while it is given what came to the others in the meantime.
        """
        given = self.needed
        await self._load(replica, given)
        async with self._one_at_a_time:
            await self._load(replica, [ref for ref in self.needed if ref not in given])
            replica.serve()

    async def _load(self, replica: Replica, refs: Sequence[AdapterRef]) -> None:
        for ref in refs:
            try:
                await replica.load_adapter(ref, keep=[self.promoted])
            except AdapterError:
                if ref.version == self.promoted:
                    raise  # of the others it is enough that whoever asks for one hears that it is not there
