"""The driver's end of one student actor: its state, the count of its requests in flight, and its calls."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, NoReturn

from ...core.errors import UnansweredError
from ...core.records import AdapterRef, Generation, GenerationRequest
from ...core.student_settings import PoolSettings
from ..engines.engine import StudentEngine
from .actor import RestartedError, StudentActor
from .remote import ActorLostError, call, end

CONTROL_CALLS = 16
"""Calls an actor takes beside the requests it may hold, so that an adapter does not queue behind them."""

PAUSES_KEPT = 1000


class ReplicaState(StrEnum):
    """Where a replica is in its life. Only a healthy one is given work."""

    STARTING = "starting"
    """Its first process is being started, and loads the model."""
    DEAD = "dead"
    """Its process ended."""
    RESTARTING = "restarting"
    """Ray starts its process anew."""
    STALE = "stale"
    """Its process answers, and may lack adapters."""
    HEALTHY = "healthy"
    """It has the adapters that it needs, and serves."""
    DRAINING = "draining"
    """It answers what it has and will then be let go."""
    GONE = "gone"
    """It was let go, or could not be started."""


class Replica:
    """One student actor. Needs a running Ray session."""

    def __init__(
        self, number: int, build: Callable[[], StudentEngine], settings: PoolSettings, tell: Callable[[str], None]
    ) -> None:
        self._build, self._settings, self._tell = build, settings, tell
        self._actor: Any = self._new_actor()
        self.number = number
        self.state = ReplicaState.STARTING
        self.has_served = False
        """Whether it ever did: then what it is made from is sound, and what fails later may pass."""
        self.in_flight = 0
        self.incarnation = ""
        """Which incarnation of its process it is known by; calls meant for another are refused."""
        self.pauses: deque[float] = deque(maxlen=PAUSES_KEPT)
        """How long, in seconds, nothing was generated on it for each adapter it was given, the newest last."""
        self._busy_seconds = 0.0
        self._busy_since = 0.0
        self._dead = asyncio.Event()

    def _new_actor(self) -> Any:
        import ray

        settings = self._settings
        actor = ray.remote(StudentActor).options(
            num_cpus=settings.cpus_per_actor,
            num_gpus=settings.gpus_per_actor,
            resources=settings.resources,
            max_restarts=-1,
            max_task_retries=0,  # the pool sends a request again itself, to whichever replica is free
            max_concurrency=settings.max_in_flight + CONTROL_CALLS,
            scheduling_strategy="SPREAD" if settings.most > 1 else "DEFAULT",
        )
        return actor.remote(self._build, settings.max_in_flight)

    def __repr__(self) -> str:
        return f"<Replica {self.number}: {self.state}, {self.in_flight} in flight>"

    @property
    def serving(self) -> bool:
        """Whether it may be given work."""
        return self.state is ReplicaState.HEALTHY

    def serve(self) -> None:
        """Note that it has what the others have; it is given work from now on."""
        self.state = ReplicaState.HEALTHY
        self.has_served = True
        self._dead.clear()

    def mark_dead(self) -> None:
        """Note that a call to it was lost: it is given no work until it has answered again."""
        self.state = ReplicaState.DEAD
        self._dead.set()

    def take(self) -> None:
        """Count one more request in flight."""
        if self.in_flight == 0:
            self._busy_since = time.monotonic()
        self.in_flight += 1

    def give_back(self) -> None:
        """Count one request less."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._busy_seconds += time.monotonic() - self._busy_since

    @property
    def busy_seconds(self) -> float:
        """How long it has had anything to do since it was made."""
        return self._busy_seconds + (time.monotonic() - self._busy_since if self.in_flight else 0.0)

    async def describe(self) -> None:
        """Wait until its process answers, and learn which incarnation that is. Raises ActorLostError."""
        self.incarnation = await call(self._actor.describe.remote(), UnansweredError)

    async def wait_for_exit(self) -> None:
        """Wait until its process has ended or any call to it was lost, and then raise ActorLostError.

        What it warns of meanwhile is passed on.
        """
        ending = asyncio.ensure_future(self._pass_warnings_on())
        losing = asyncio.ensure_future(self._dead.wait())
        try:
            await asyncio.wait({ending, losing}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                ending.result()
            # A broken connection fails the calls that it carried, and not necessarily this one.
            raise ActorLostError("a call to the actor was lost", for_good=False)
        finally:
            ending.cancel()
            losing.cancel()
            await asyncio.gather(ending, losing, return_exceptions=True)

    async def _pass_warnings_on(self) -> NoReturn:
        while True:
            warning = await call(self._actor.next_warning.remote(), UnansweredError)
            self._tell(f"student {self.number}: {warning}")

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation. Raises ActorLostError, RestartedError, OverloadError and what the engine raised.

        What an engine raises that openmic does not know is an UnansweredError.
        """
        generation = await call(self._actor.generate.remote(self.incarnation, request), UnansweredError)
        assert isinstance(generation, Generation)
        return generation

    async def load_adapter(self, ref: AdapterRef, *, keep: Collection[int]) -> None:
        """Have it verify and load an adapter, and drop none of `keep` for it.

        Raises:
            ActorLostError: its process ended.
            RestartedError: its process was restarted.
            AdapterError: the adapter is broken.
        """
        pause_s: float = await call(self._actor.load_adapter.remote(self.incarnation, ref, keep), UnansweredError)
        self.pauses.append(pause_s)

    def replace(self) -> None:
        """Have another actor in place of one that Ray will not start again."""
        end(self._actor)
        self._actor = self._new_actor()

    def end(self) -> None:
        """End its process for good."""
        self.state = ReplicaState.GONE
        end(self._actor)


LOST = (ActorLostError, RestartedError)
"""What a call to a replica raises when the process it was meant for is no more."""
