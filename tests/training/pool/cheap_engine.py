"""An engine without a student: it answers at once, or after a while, and keeps a diary.

A pool of real ones would spend the tests' time on loading models; what is tested is everything around the engine.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from openmic.core.errors import AdapterError
from openmic.core.records import AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from openmic.training.engines.engine import ADAPTERS_KEPT, EngineStats, refuse_unloaded

from ...waiting import until

FORBIDDEN = ".no-more-starts"


class CheapEngine:
    """Notes what it does as `pid what` lines in the diary file."""

    def __init__(self, diary: str, seconds: float, restart_s: float) -> None:
        self._diary, self._seconds = diary, seconds
        self._refs: dict[int, AdapterRef] = {}
        self.stats = EngineStats()
        if Path(diary).exists():
            time.sleep(restart_s)
        if Path(f"{diary}{FORBIDDEN}").exists():
            self.note("could not start")
            raise OSError("no memory is free")
        self.note("started")

    @property
    def loaded(self) -> tuple[int, ...]:
        return (0, *self._refs)

    async def generate(self, request: GenerationRequest) -> Generation:
        if request.id == "poison":
            os.abort()
        if request.id.startswith("warns"):
            logging.getLogger("openmic.training").warning("asked for %s", request.id)
        refuse_unloaded(request.adapter, self.loaded)
        # A request may say itself how long it takes.
        said = request.messages[0].content if request.messages else ""
        took = float(said) if said[:1].isdigit() else self._seconds
        await asyncio.sleep(took)
        self.stats.batches += 1
        self.stats.batched_rows += 1
        self.note(f"answered {request.id} v{request.adapter}")
        return Generation(request.id, "", (1, 2, 3), 1, request.adapter, "stop", 0.0, took, f"pid-{os.getpid()}")

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        if ref.version in self.loaded:
            return
        if ref.uri == "broken":
            raise AdapterError("the adapter is broken")
        if ref.uri == "broken for all but one" and f"loaded {ref.version}" in read(self._diary):
            raise AdapterError("the adapter cannot be read here")
        what, _, file = (ref.uri or "").rpartition(" ")
        if what == "needs" and not there(file):
            self.note(f"fails {ref.version}")
            raise AdapterError("the storage cannot be read")
        self.note(f"loads {ref.version}")
        if what == "waits for":
            await until(lambda: there(file))
        await asyncio.sleep(self._seconds)
        self.stats.count_swap(self._seconds)
        self._refs[ref.version] = ref
        spare = [version for version in self._refs if version not in {ref.version, *keep}]
        for version in spare[: max(0, len(self._refs) - ADAPTERS_KEPT)]:
            await self.unload(version)
        self.note(f"loaded {ref.version}")

    async def unload(self, version: int) -> None:
        del self._refs[version]
        self.note(f"drops {version}")

    async def close(self) -> None:
        self.note("closed")

    def note(self, what: str) -> None:
        line = f"{os.getpid()} {what}\n"
        with Path(self._diary).open("a", encoding="utf-8") as file:
            file.write(line)


def there(file: str) -> bool:
    return Path(file).exists()


def read(diary: str | Path) -> str:
    return Path(diary).read_text(encoding="utf-8")


def notes(diary: Path, about: str, of: int | None = None) -> list[str]:
    """What stands in the diary on something, in order: all of it, or what one process wrote."""
    lines = (line.partition(" ") for line in read(diary).splitlines())
    return [what for pid, _, what in lines if what.startswith(about) and of in {None, int(pid)}]


def writers(diary: Path, about: str) -> list[int]:
    """The processes that wrote of something, in order."""
    lines = (line.partition(" ") for line in read(diary).splitlines())
    return [int(pid) for pid, _, what in lines if what.startswith(about)]


def cheap(diary: Path, seconds: float = 0.01, restart_s: float = 0.0) -> "partial[CheapEngine]":
    """Makes engines that answer after `seconds`, and that take longer to be started again."""
    return partial(CheapEngine, str(diary), seconds, restart_s)


def forbid_starting(diary: Path) -> Callable[[], None]:
    """Let every engine of this diary that is started from now on fail; returns what allows it again."""
    file = Path(f"{diary}{FORBIDDEN}")
    file.touch()
    return file.unlink


def asked(name: str, seconds: float | None = None, adapter: int = 0) -> GenerationRequest:
    """A request that takes so many seconds; None leaves it to the engine."""
    messages = () if seconds is None else (Message(role="user", content=str(seconds)),)
    return GenerationRequest(name, messages, StudentSampling(), 0, adapter)
