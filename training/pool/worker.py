"""The student as a Ray actor: the host of one engine. It adds nothing to what the engine does."""

from ...core.config import StudentSettings
from ...core.records import AdapterRef, Generation, GenerationRequest
from ..engines.engine import EngineStats


class StudentWorker:
    """What runs inside the actor's process. `training.pool.pool` makes a Ray actor of it.

    All it needs is in its constructor, so that it can be started again: it begins with the given adapters, the last of
    which is current.
    """

    def __init__(self, settings: StudentSettings, threads: int, adapters: list[AdapterRef]) -> None:
        from ..engines.choose import make_engine

        self._engine = make_engine(settings, threads=threads, adapters=adapters)

    async def ready(self) -> int:
        """The current adapter version, once the model is loaded."""
        return self._engine.current

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation."""
        return await self._engine.generate(request)

    async def load_adapter(self, ref: AdapterRef, make_current: bool = True) -> int:
        """Load an adapter while others generate; returns the version that is now current."""
        await self._engine.load_adapter(ref, make_current=make_current)
        return self._engine.current

    async def unload_adapter(self, version: int) -> None:
        """Let go of a version once what is in progress with it is answered."""
        await self._engine.unload(version)

    async def stats(self) -> EngineStats:
        """The engine's counters."""
        return self._engine.stats

    async def close(self) -> None:
        """End; whoever waits hears of it."""
        await self._engine.close()
