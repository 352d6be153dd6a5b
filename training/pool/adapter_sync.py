"""Which adapters the students are to have, and how a new one gets to all of them while they go on answering.

An adapter is verified and loaded everywhere before it becomes current anywhere, and then becomes current on one student
after the other. A broken one is refused by the first that looks at it, and what was current still is.
"""

import asyncio
from collections.abc import Callable, Sequence

from ...core.errors import AdapterError, OpenmicError
from ...core.records import NO_ADAPTER, AdapterRef
from .replica import LOST, Replica

RESTORED = 3
"""How many of the newest adapters a restarted student is given; engines do not hold many more."""


class RollOut:
    """The adapters of a pool. One roll-out, or one student catching up, at a time."""

    def __init__(self, adapters: Sequence[AdapterRef], on_lost: Callable[[Replica, str], None]) -> None:
        """`adapters` are those that students are given before they serve, the last one current.

        `on_lost` is told of a student that died meanwhile, and in which of its process's lives.
        """
        self._known = {ref.version: ref for ref in (NO_ADAPTER, *adapters)}
        self.current = (NO_ADAPTER, *adapters)[-1]
        """What every student that serves has, or is about to have."""
        self._on_lost = on_lost
        self._one_at_a_time = asyncio.Lock()

    @property
    def known(self) -> list[AdapterRef]:
        """The newest adapters, the current one last: what a student that was started anew is given."""
        others = [ref for ref in self._known.values() if ref.version not in {0, self.current.version}]
        return [*others[-RESTORED + 1 :], self.current]

    async def to_all(self, replicas: Sequence[Replica], ref: AdapterRef, *, make_current: bool) -> bool:
        """Load an adapter on every replica that serves; returns whether there was any.

        Raises:
            AdapterError: the adapter is broken, or a student cannot read it. What was current is current everywhere.
        """
        async with self._one_at_a_time:
            loaded = await self._each(replicas, ref, make_current=False)
            if not loaded:
                return False
            self._known.pop(ref.version, None)
            self._known[ref.version] = ref
            if make_current:
                await self._switch(loaded, ref)
            return True

    async def catch_up(self, replica: Replica) -> None:
        """Give a student that was started anew what the others have, and let it serve. Raises what its calls raise.

        Others wait for it only at the end, while it is given what came to the others in the meantime.
        """
        given = self.known
        if replica.version != given[-1].version or len(given) > 1:
            await self._give(replica, given, current=given[-1])
        async with self._one_at_a_time:
            late = [ref for ref in self.known if ref not in given or ref == self.current != given[-1]]
            await self._give(replica, late, current=self.current)
            replica.serve()

    @staticmethod
    async def _give(replica: Replica, refs: Sequence[AdapterRef], *, current: AdapterRef) -> None:
        for ref in refs:
            try:
                await replica.load_adapter(ref, make_current=ref == current)
            except AdapterError:
                if ref == current:
                    raise  # of the others it is enough that who asks for one hears that it is not there

    async def _switch(self, replicas: Sequence[Replica], ref: AdapterRef) -> None:
        before, self.current = self.current, ref
        try:
            await self._each(replicas, ref, make_current=True)
        except OpenmicError:
            self.current = before
            await self._each([one for one in replicas if one.version != before.version], before, make_current=True)
            raise

    async def _each(self, replicas: Sequence[Replica], ref: AdapterRef, *, make_current: bool) -> list[Replica]:
        """Load on one after the other; returns those that have it. One whose process is lost will catch up."""
        loaded = []
        for replica in list(replicas):
            if not replica.serving:
                continue
            life = replica.life
            try:
                await replica.load_adapter(ref, make_current=make_current)
            except LOST:
                self._on_lost(replica, life)
            else:
                loaded.append(replica)
        return loaded
