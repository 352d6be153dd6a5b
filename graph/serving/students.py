"""The versions of a run's student that are served, and asking one of them."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.errors import NotFoundError
from ...core.ids import derive_seed
from ...core.records import NO_ADAPTER, AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from ...store import Adapter, Run, Store
from ...training.engines.engine import StudentEngine

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Served:
    """What is served: a task, and versions of its student."""

    task: Task
    config: RunConfig
    versions: Mapping[int, AdapterRef]
    default: int
    """The version that answers by the task's name alone."""
    created: int
    """Unix time of the run, in seconds."""

    @property
    def models(self) -> dict[str, int]:
        """Versions by the names of their models: the task's own, then each with its number."""
        return {self.task.name: self.default, **{f"{self.task.name}:v{version}": version for version in self.versions}}


def served_versions(store: Store, run: Run, config: RunConfig, task: Task, version: int | None) -> Served:
    """What a run has to serve.

    Args:
        store: Open.
        run: The run.
        config: Its configuration.
        task: Its task.
        version: The one version to serve; None serves all, and the last promoted one by the task's name.

    Raises:
        NotFoundError: the run has no such version, or none at all.
    """
    rows = store.select(Adapter, run_id=run.id, order_by="version")
    refs = {
        row.version: NO_ADAPTER if row.uri is None else AdapterRef(row.version, store.located(row.uri), row.sha256)
        for row in rows
    }
    if not refs or (version is not None and version not in refs):
        there = ", ".join(f"v{one}" for one in refs) or "none"
        raise NotFoundError(
            f"run {run.id} has no student{'' if version is None else f' v{version}'} to serve; it has {there}"
        )
    if version is not None:
        refs = {version: refs[version]}
    promoted = [row.version for row in rows if row.status == "promoted" and row.version in refs]
    return Served(task, config, refs, promoted[-1] if promoted else max(refs), int(run.created_at.timestamp()))


class Students:
    """Answers with whichever version is asked for, from one engine."""

    def __init__(self, served: Served, engine: StudentEngine) -> None:
        self.served = served
        self._engine = engine
        self._in_use: Counter[int] = Counter()
        self.streams = bool(getattr(engine, "streams", False))
        """Whether texts come as they are written."""

    async def load(self, version: int) -> None:
        """Have a version ready.

        Raises:
            AdapterError: it is not what was committed, or does not fit.
        """
        await self._engine.load(self.served.versions[version], keep=set(self._in_use))

    async def answer(
        self,
        version: int,
        messages: Sequence[Message],
        sampling: StudentSampling,
        seed: int | None,
        count: int,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Generation]:
        """So many answers of a version to a conversation.

        Args:
            version: One that is served.
            messages: The conversation.
            sampling: How to sample.
            seed: The same one gives the same answers; None: others each time.
            count: How many.
            on_text: Called with the answer's number and its text so far, where the engine streams.

        Raises:
            GenerationError: it cannot be answered, as where it is too long.
            AdapterError: as `load`.
        """
        drawn = secrets.randbits(62) if seed is None else seed
        with self._use(version):
            await self.load(version)
            return list(
                await asyncio.gather(
                    *(
                        self._one(
                            GenerationRequest(
                                f"serve:{secrets.token_hex(8)}",
                                tuple(messages),
                                sampling,
                                derive_seed(drawn, "serve", place),
                                version,
                            ),
                            place,
                            on_text,
                        )
                        for place in range(count)
                    )
                )
            )

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def _one(
        self, request: GenerationRequest, place: int, on_text: Callable[[int, str], None] | None
    ) -> Generation:
        if on_text is None or not self.streams:
            return await self._engine.generate(request)
        engine: Any = self._engine  # one that streams takes more
        said: Generation = await engine.generate(request, on_text=lambda text: on_text(place, text))
        return said

    @contextmanager
    def _use(self, version: int) -> Iterator[None]:
        self._in_use[version] += 1
        try:
            yield
        finally:
            self._in_use[version] -= 1
            if not self._in_use[version]:
                del self._in_use[version]
