"""What the driver holds of the students: coroutines in front of one Ray actor or many.

A request goes to the least loaded student; where all are full its caller waits. When a student's process dies its
requests are sent to another, and it serves again once Ray has started it anew and it has its adapters back. Requests
with one id that are in flight together are one request. A pool belongs to the event loop it is first used in.

A student whose node is lost for good stays down, and nothing waits for it; it comes back when Ray finds room for it. A
node that is cut off without a word is noticed by Ray's health checks (some 20 s unless RAY_health_check_period_ms and
its likes say otherwise). Until then its requests wait, and a roll-out does where it has come to that student. What the
processes of such a node answer later reaches nobody: their calls have failed by then, and only the driver keeps texts.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from ...core.config import StudentSettings
from ...core.errors import GenerationError, OpenmicError, OverloadError
from ...core.records import AdapterRef, Generation, GenerationRequest
from .actor import RestartedError, Worker
from .adapter_sync import RollOut
from .in_flight import InFlight
from .remote import ActorLostError
from .replica import LOST, Replica, ReplicaState
from .routing import Router
from .scaling import Scaling
from .stats import Meter, PoolStats
from .worker import StudentWorker

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
        adapters: Sequence[AdapterRef] = (),
        build: Callable[[], Worker] | None = None,
        tick_s: float = 1.0,
    ) -> None:
        """Start the actors.

        Args:
            settings: The student, and in `pool` its actors.
            threads: CPU threads of each actor. None: the CPUs set aside for it, and for a lone actor all cores.
            adapters: What the actors are given before they serve, the last one current.
            build: Makes an actor's worker, in the actor's process. None: the real one.
            tick_s: Seconds between two looks at the load.
        """
        self._settings = settings.pool
        alone = self._settings.most == 1
        self._threads = threads or (os.cpu_count() if alone else int(self._settings.cpus_per_actor)) or 1
        self._build = build
        self._student = settings
        self._tick_s = tick_s
        self._roll_out = RollOut(adapters, self._lost)
        self._replicas: list[Replica] = []
        self._router = Router(self._replicas, self._settings.max_in_flight)
        self._scaling = Scaling(self._settings)
        self._asked = InFlight(self._serve)
        self._meter = Meter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = self._closed = False
        self._down_since: float | None = None
        self._trouble = ""
        self._keepers: dict[Replica, asyncio.Task[None]] = {}
        self._number = 0
        for _ in range(self._settings.actors):
            self._add()

    async def ready(self, students: int = 1) -> int:
        """Wait until so many students serve; gives the current adapter version. Raises GenerationError if none can."""
        self._begin()
        await self._router.until_serving(students)
        return self._roll_out.current.version

    async def generate(self, request: GenerationRequest) -> Generation:
        """One generation; waits for its turn where all students are full.

        Raises:
            GenerationError: the student could not answer, or died each time the request was sent.
        """
        self._begin()
        return await self._asked.ask(request)

    async def load_adapter(self, ref: AdapterRef, *, make_current: bool = True) -> None:
        """Load an adapter on one student after the other, between batches, while they all go on answering.

        Raises:
            AdapterError: the adapter is broken; what was current still is, on every student.
        """
        await self.ready()
        while not await self._roll_out.to_all(self._replicas, ref, make_current=make_current):
            await self.ready()

    def stats(self) -> PoolStats:
        """What the pool is doing."""
        return PoolStats(
            actors=len(self._replicas),
            serving=sum(replica.serving for replica in self._replicas),
            in_flight=sum(replica.in_flight for replica in self._replicas),
            waiting=self._router.waiting,
            tokens_per_second=self._meter.tokens_per_second,
            utilisation=self._meter.utilisation,
            version=self._roll_out.current.version,
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
        self._router.fail(GenerationError("the pool of students is closed"), for_good=True)

    async def _serve(self, request: GenerationRequest) -> Generation:
        """Send a request until a student lives long enough to answer it."""
        deaths = 0
        while True:
            replica = cast(Replica, await self._router.acquire())
            life = replica.life
            try:
                generation = await replica.generate(request)
            except OverloadError:
                # Calls that their callers gave up can still be held over there, so our count was too low.
                await asyncio.sleep(OVERLOAD_WAIT_S)
                continue
            except LOST as error:
                self._lost(replica, life)
                deaths += not isinstance(error, RestartedError)
                if deaths > self._settings.max_retries and not self._closed:
                    why = f"request {request.id!r} was sent {deaths} times and each time its student died: {error}"
                    raise GenerationError(why) from error
                continue
            finally:
                self._router.release(replica)
            behind = self._roll_out.current.version - generation.adapter_version if request.adapter is None else 0
            self._meter.answered(len(generation.token_ids), behind)
            return generation

    def _begin(self) -> None:
        """Watch the actors from within the event loop; they are made before there need be one."""
        if self._begun or self._closed:
            return
        self._begun = True
        for replica in self._replicas:
            self._keepers[replica] = self._spawn(self._keep(replica))
        self._spawn(self._watch())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _add(self) -> None:
        """Start one more actor."""
        build = self._build or partial(StudentWorker, self._student, self._threads, [])
        replica = Replica(self._number, build, self._settings)
        self._replicas.append(replica)
        self._number += 1
        if self._begun:
            self._keepers[replica] = self._spawn(self._keep(replica))

    def _lost(self, replica: Replica, life: str) -> None:
        """The process that was known as `life` is no more; each call that it had says so, and the first one counts."""
        if replica.life == life and replica.serving:
            logger.warning("student %d died or cannot be reached; its requests are sent again", replica.number)
            replica.lose()

    async def _keep(self, replica: Replica) -> None:
        """Have a student serve, and again each time its process died: it first has to be given its adapters.

        One that cannot be started the first time never will be. One that did serve is tried for as long as the pool
        lives: memory that is still taken, or storage that cannot be read, may be there again the next time.
        """
        wait = RESTART_WAIT_S
        while True:
            try:
                await replica.describe()
                replica.state = ReplicaState.STALE
                await self._roll_out.catch_up(replica)
                self._router.wake()
                wait = RESTART_WAIT_S
                await replica.outlive()
            except (*LOST, OpenmicError) as error:
                self._lost(replica, replica.life)
                if replica.state is ReplicaState.DRAINING:
                    return
                failed = error.start_failed if isinstance(error, ActorLostError) else not isinstance(error, LOST)
                if failed and not replica.has_served:
                    self._give_up(replica, error)
                    return
                if failed and str(error) != self._trouble:
                    logger.warning("student %d cannot serve again yet: %s", replica.number, error)
                self._trouble = str(error)
                if isinstance(error, ActorLostError) and error.for_good:
                    replica.renew()
                replica.state = ReplicaState.RESTARTING
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_RESTART_WAIT_S)

    def _give_up(self, replica: Replica, error: Exception) -> None:
        """A student that cannot be started; where it was the last one, nothing can be answered any more."""
        logger.error("student %d cannot be started: %s", replica.number, error)
        self._let_go(replica)
        if not self._replicas:
            self._router.fail(GenerationError(f"no student could be started: {error}"), for_good=True)

    def _let_go(self, replica: Replica) -> None:
        self._replicas.remove(replica)
        keeper = self._keepers.pop(replica)
        if keeper is not asyncio.current_task():
            keeper.cancel()
        replica.end()

    async def _watch(self) -> None:
        """Measure, grow and shrink, and tell those that wait in vain."""
        while True:
            await asyncio.sleep(self._tick_s)
            self._meter.measure(self._replicas, self._router.waiting)
            for replica in list(self._replicas):
                if replica.state is ReplicaState.DRAINING and not replica.in_flight:
                    self._let_go(replica)
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
        """Let go of one: best of one that does not serve, else of the least loaded, once it has answered."""
        if down := [replica for replica in staying if replica.state in DOWN]:
            self._let_go(down[-1])
            return
        serving = [replica for replica in staying if replica.serving]
        if len(serving) > 1:
            least = min(serving, key=lambda replica: (replica.in_flight, -replica.number))
            least.state = ReplicaState.DRAINING

    def _end_vain_waits(self) -> None:
        """Tell those that wait when none has served for long after one died; a first start takes what it takes."""
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
            self._router.fail(GenerationError(why), for_good=False)
