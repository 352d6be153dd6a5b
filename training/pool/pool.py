"""What the driver holds of the students: coroutines in front of one Ray actor or many.

A request goes to the least loaded student; where all are full its caller waits. When a student's process dies its
requests are sent to another, and it serves again once Ray has restarted it and it has its adapters back. Requests with
one id that are in flight together are one request. A pool belongs to the event loop it is first used in.

A student whose node is lost for good stays down, and nothing waits for it; it comes back when Ray finds room for it. A
node that is cut off without a word is noticed by Ray's health checks (some 20 s unless RAY_health_check_period_ms and
its likes say otherwise). Until then its requests wait, and so does an adapter that is being loaded on it. What the
processes of such a node answer later reaches nobody: their calls have failed by then, and only the driver keeps texts.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, cast

from ...core.errors import OpenmicError, OverloadError, StudentLostError, UnansweredError
from ...core.records import NO_ADAPTER, AdapterRef, Generation, GenerationRequest
from ...core.student_settings import StudentSettings
from ..engines.engine import EngineFactory, StudentEngine
from ..student.fingerprint import ANY_FILES, KnownFiles
from .actor import RestartedError, configured_engine
from .adapter_sync import AdapterSync
from .own_fault import OwnFault
from .remote import ActorLostError
from .replica import LOST, Replica, ReplicaState
from .routing import Router
from .scaling import Scaling
from .single_flight import SingleFlight
from .stats import Meter, PoolStats

logger = logging.getLogger(__name__)
OVERLOAD_WAIT_S = 0.05
RESTART_WAIT_S = 0.1
LONGEST_RESTART_WAIT_S = 2.0
DOWN = (ReplicaState.DEAD, ReplicaState.RESTARTING, ReplicaState.STALE)
"""The states of a student whose process ended or cannot be reached, until it serves again."""


class StudentPool:
    """The student, wherever it runs. Needs a running Ray session."""

    def __init__(
        self,
        settings: StudentSettings,
        *,
        threads: int | None,
        engine: EngineFactory | None = None,
        build: Callable[[], StudentEngine] | None = None,
        folder: Path | None = None,
        known: KnownFiles = ANY_FILES,
        tick_s: float = 1.0,
        tell: Callable[[str], None] = logger.warning,
    ) -> None:
        """Start the actors.

        Args:
            settings: The student, and in `pool` its actors.
            threads: CPU threads of each actor. None: the CPUs set aside for it, and for a lone actor all cores.
            engine: What makes the engine of one's own that the settings name, where it was given in Python: Ray pickles
                it by value where it cannot be imported. None: each actor imports it.
            build: Makes an actor's engine, in the actor's process. None: the engine that the settings name.
            folder: Where the log of an engine's own server goes, on whichever machine that is. None: among temporary
                files.
            known: The files that the student's weights are; an actor that finds others does not start.
            tick_s: Seconds between two looks at the load.
            tell: Told in a line of what a person should know of.
        """
        self._settings = settings.pool
        alone = self._settings.most == 1
        self._threads = threads or (os.cpu_count() if alone else int(self._settings.cpus_per_actor)) or 1
        self._build = build or partial(configured_engine, settings, self._threads, engine, folder, known)
        self._tick_s, self._tell = tick_s, tell
        self._batch_limit = settings.max_batch
        self._adapters = AdapterSync(self._on_death)
        self._replicas: list[Replica] = []
        self._router = Router(self._replicas, self._settings.max_in_flight)
        self._scaling = Scaling(self._settings)
        self._requests = SingleFlight(OwnFault(self._send).ask)
        self._meter = Meter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = self._closed = False
        self._down_since: float | None = None
        self._trouble = ""
        self._supervisors: dict[Replica, asyncio.Task[None]] = {}
        self._number = 0
        for _ in range(self._settings.actors):
            self._add()

    async def ready(self, students: int = 1) -> None:
        """Wait until so many students serve. Raises StudentLostError if none can."""
        self._begin()
        await self._router.until_serving(students)

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation with the adapter version that the request names; waits where all students are full.

        Raises:
            GenerationError: the student cannot answer this request, or dies each time that it is sent, of no other.
            StudentLostError: no student answers.
        """
        self._begin()
        self._adapters.touch(request.adapter)
        return await self._requests.ask(request)

    async def load_adapter(self, ref: AdapterRef) -> None:
        """Load an adapter on one student after the other, while the others go on answering.

        When it returns, its version can be asked for. Students hold a few adapters; the least recently used one is
        dropped for a new one, but never the promoted one.

        Raises:
            AdapterError: the adapter is broken; what was loaded still is, on every student.
        """
        await self.ready()
        if ref.version == NO_ADAPTER.version:
            return
        while not await self._adapters.load_everywhere(self._replicas, ref):
            await self.ready()

    def promote(self, version: int) -> None:
        """Note that a version is the promoted one: it stays loaded, and how stale others are is counted from it."""
        self._adapters.promote(version)

    def stats(self) -> PoolStats:
        """What the pool is doing."""
        return PoolStats(
            actors=len(self._replicas),
            serving=sum(replica.serving for replica in self._replicas),
            in_flight=sum(replica.in_flight for replica in self._replicas),
            waiting=self._router.waiting,
            tokens_per_second=self._meter.tokens_per_second,
            utilisation=self._meter.utilisation,
            promoted_version=self._adapters.promoted,
            swap_pauses=tuple(tuple(replica.pauses) for replica in self._replicas),
        )

    def close(self) -> None:
        """End the actors; those that wait hear of it."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for replica in self._replicas:
            replica.end()
        self._replicas.clear()
        self._router.fail(StudentLostError("the pool of students is closed"), for_good=True)

    async def _send(self, request: GenerationRequest) -> Generation:
        """Send a request until a student lives long enough to answer it."""
        deaths = 0
        while True:
            replica = cast(Replica, await self._router.acquire())
            incarnation = replica.incarnation
            try:
                generation = await replica.generate(request)
            except OverloadError:
                # Calls that their callers gave up can still be held over there, so our count was too low.
                await asyncio.sleep(OVERLOAD_WAIT_S)
                continue
            except LOST as error:
                self._on_death(replica, incarnation)
                deaths += not isinstance(error, RestartedError)
                if deaths > self._settings.max_retries and not self._closed:
                    why = f"request {request.id!r} was sent {deaths} times and each time its student died: {error}"
                    raise UnansweredError(why) from error
                continue
            finally:
                # Also where it died: the count is the driver's own, so nothing else would take this request off it.
                self._router.release(replica)
            self._look_at(generation)
            self._meter.answered(len(generation.token_ids), self._adapters.staleness(request.adapter))
            return generation

    def _look_at(self, generation: Generation) -> None:
        """Tell when memory lets the students generate fewer texts together than they were to."""
        limit = generation.batch_limit
        if limit is not None and limit < self._batch_limit:
            self._batch_limit = limit
            self._tell(
                f"memory ran out on a student: it goes on with {limit} texts at a time (student.max_batch), which "
                "changes nothing but rounding"
            )

    def _begin(self) -> None:
        """Watch the actors from within the event loop; they are made before there need be one."""
        if self._begun or self._closed:
            return
        self._begun = True
        for replica in self._replicas:
            self._supervisors[replica] = self._spawn(self._supervise(replica))
        self._spawn(self._watch())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _add(self) -> None:
        """Start one more actor."""
        replica = Replica(self._number, self._build, self._settings, self._tell)
        self._replicas.append(replica)
        self._number += 1
        if self._begun:
            self._supervisors[replica] = self._spawn(self._supervise(replica))

    def _on_death(self, replica: Replica, incarnation: str) -> None:
        """Mark a replica dead. Idempotent for each incarnation, since every call that failed with it reports it."""
        if replica.incarnation == incarnation and replica.serving:
            logger.warning("student %d died or cannot be reached; its requests are sent again", replica.number)
            replica.mark_dead()

    async def _supervise(self, replica: Replica) -> None:
        """Bring a replica to serve, and again each time its process died: it first has to be given its adapters.

        One that cannot be started the first time never will be. One that did serve is tried for as long as the pool
        lives: memory that is still taken, or storage that cannot be read, may be there again the next time.
        """
        wait = RESTART_WAIT_S
        while True:
            try:
                await replica.describe()
                replica.state = ReplicaState.STALE
                await self._adapters.sync_replica(replica)
                self._router.wake()
                wait = RESTART_WAIT_S
                await replica.wait_for_exit()
            except (*LOST, OpenmicError) as error:
                self._on_death(replica, replica.incarnation)
                if replica.state is ReplicaState.DRAINING:
                    return
                failed = error.start_failed if isinstance(error, ActorLostError) else not isinstance(error, LOST)
                # What has served before is sound, so the cause may pass; what never did would fail every time.
                if failed and not replica.has_served:
                    self._give_up(replica, error)
                    return
                if failed and str(error) != self._trouble:
                    logger.warning("student %d cannot serve again yet: %s", replica.number, error)
                self._trouble = str(error)
                if isinstance(error, ActorLostError) and error.for_good:
                    replica.replace()
                replica.state = ReplicaState.RESTARTING
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_RESTART_WAIT_S)

    def _give_up(self, replica: Replica, error: Exception) -> None:
        """Remove a replica that cannot be started; without any, all that wait and all that come later fail."""
        logger.error("student %d cannot be started: %s", replica.number, error)
        self._remove(replica)
        if not self._replicas:
            self._router.fail(StudentLostError(f"no student could be started: {error}"), for_good=True)

    def _remove(self, replica: Replica) -> None:
        self._replicas.remove(replica)
        supervisor = self._supervisors.pop(replica)
        if supervisor is not asyncio.current_task():
            supervisor.cancel()
        replica.end()

    async def _watch(self) -> None:
        """Measure, grow and shrink, and fail requests that wait in vain, once every `tick_s`."""
        while True:
            await asyncio.sleep(self._tick_s)
            self._meter.measure(self._replicas, self._router.waiting)
            for replica in list(self._replicas):
                if replica.state is ReplicaState.DRAINING and not replica.in_flight:
                    self._remove(replica)
            self._scale()
            self._end_vain_waits()

    def _scale(self) -> None:
        staying = [replica for replica in self._replicas if replica.state is not ReplicaState.DRAINING]
        requests = self._router.waiting + sum(replica.in_flight for replica in self._replicas)
        change = self._scaling.decide(time.monotonic(), actors=len(staying), requests=requests)
        if change > 0:
            self._add()
        elif change < 0:
            self._shrink(staying)

    def _shrink(self, staying: list[Replica]) -> None:
        """Remove a replica that does not serve, else the least loaded one, once it has answered."""
        if down := [replica for replica in staying if replica.state in DOWN]:
            self._remove(down[-1])
            return
        serving = [replica for replica in staying if replica.serving]
        if len(serving) > 1:
            least = min(serving, key=lambda replica: (replica.in_flight, -replica.number))
            least.state = ReplicaState.DRAINING

    def _end_vain_waits(self) -> None:
        """Fail waiting requests when none has served for long after a death; a first start may take any time."""
        seconds, now = self._settings.restart_timeout_s, time.monotonic()
        states = {replica.state for replica in self._replicas}
        if ReplicaState.HEALTHY in states or states.isdisjoint(DOWN):
            self._down_since = None
            return
        self._down_since = self._down_since or now
        if now - self._down_since > seconds:
            why = (
                f"no student came back within {seconds:g} s ({self._trouble}); see `ray status`, or raise "
                "student.pool.restart_timeout_s"
            )
            self._router.fail(StudentLostError(why), for_good=False)
