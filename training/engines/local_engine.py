"""What engines share that hold their adapters themselves: which may be asked for, and how they are swapped."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from ...core.records import AdapterRef
from .adapter_slots import HeldAdapters, ReadAdapter
from .engine import ActiveRequests, refuse_base_model

Held = TypeVar("Held", bound=HeldAdapters)


class LocalEngine(ABC, Generic[Held]):
    """The part of a `StudentEngine` that takes adapters in and lets go of them, one swap at a time.

    A version that is on its way out is refused from then on, and not only once it is gone: a request that came in
    while weights are copied would be answered from a slot that another adapter has taken over.
    """

    def __init__(self, adapters: Held) -> None:
        self._adapters = adapters
        self._active = ActiveRequests()
        self._leaving: set[int] = set()
        self._swapping = asyncio.Lock()

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for."""
        return tuple(version for version in self._adapters.loaded if version not in self._leaving)

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        """Verify an adapter beside what is generated, and put it in place of the least recently used ones."""
        async with self._swapping:
            adapter = await asyncio.to_thread(self._adapters.missing, ref)
            if adapter is None:
                return
            # A request that still waits needs its adapter as much as one that is being answered.
            leaving = self._adapters.evictable(self._active.versions.union(keep))
            self._leaving.update(leaving)
            try:
                await self._put(ref.version, adapter, leaving)
            finally:
                self._leaving.clear()

    async def unload(self, version: int) -> None:
        """Let go of a version once what is in progress with it is answered."""
        refuse_base_model(version)
        async with self._swapping:
            if version not in self._adapters.loaded:
                return
            self._leaving.add(version)
            try:
                await self._active.drained(version)
                await self._drop(version)
            finally:
                self._leaving.clear()

    @abstractmethod
    async def _put(self, version: int, adapter: ReadAdapter, leaving: Sequence[int]) -> None:
        """Load an adapter while nothing is generated, in place of those that leave, which nobody uses.

        Raises:
            AdapterError: it does not fit; all that were loaded are.
        """

    @abstractmethod
    async def _drop(self, version: int) -> None:
        """Let go of a version, which nobody uses, while nothing is generated."""
