"""The driver's end of the workers: hands dialogues out, and does for them what there is but one of.

A dialogue goes to the worker with the fewest as soon as there is a place, so none is idle while another has a queue.
What a worker held when it ended goes to another once its last writes are committed: the other finds what was said and
which replies came, and asks for nothing that is there.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from typing import Any

from ...core.errors import BudgetError, OpenmicError, WorkerLostError
from ...store import Dialogue
from ...store.dialects.location import is_postgresql
from ...training.pool.remote import ActorLostError, call, end
from ..context.replies.reply_cache import DRAIN_SECONDS, Late
from ..context.run_context import RunContext
from ..context.sending import Sent
from ..context.shares import objects_to_send
from ..rollout.recording import finish_dialogue
from .actor import DialogueWorker
from .environment import environment_of
from .messages import Answer, Asked, Ended, Hold, Kept, News, Order, Setup, Spent, Told, Took, Trouble, as_sent

MOST_DEATHS = 3
"""How many workers may end while they hold one dialogue, or in one place before they have held any to its end."""
CALLS = 1000
"""An actor's calls at once; each of them is short but the one that waits for news."""
_LOOK_S = 0.1
_SLACK_S = 1.5
"""How much longer than its replies a worker is waited for at the end."""


@dataclass(eq=False, slots=True)
class _Job:
    """A dialogue that somebody waits for."""

    order: Hold
    done: "asyncio.Future[None]"
    deaths: int = 0
    """Workers that ended while they held it."""


@dataclass(eq=False, slots=True)
class _Place:
    """One worker, and whoever comes after it."""

    number: int
    actor: Any = None
    ready: bool = False
    held: dict[str, _Job] = field(default_factory=dict)
    """By the dialogue's id."""
    writes: "set[asyncio.Future[None]]" = field(default_factory=set)
    """What it handed over and is not committed."""
    answering: "set[asyncio.Task[None]]" = field(default_factory=set)
    """The student's answers to it."""
    orders: list[Order] = field(default_factory=list)
    """What it is to be told."""
    deaths: int = 0
    """In a row, without a dialogue that was held to its end."""
    trouble: str = ""


class DialogueWorkers:
    """Holds a run's dialogues in `dialogue.workers` processes. Belongs to the event loop it is made in."""

    def __init__(self, context: RunContext) -> None:
        """Start the workers; they end with the run. Needs a running Ray session.

        Raises:
            ConfigError: a Python object cannot be sent to them.
        """
        self._context = context
        settings = context.config.dialogue
        self._given = {key: Sent(one) for key, one in objects_to_send(context.config, context.plugs).items()}
        self._places = [_Place(number) for number in range(settings.workers)]
        self._most = ceil(settings.concurrency / settings.workers)
        self._waiting = deque[_Job]()
        self._told = set[str]()
        self._deaths = 0
        self._broken: Exception | None = None
        self._ending = self._told_spent = False
        context.budget.when_spent(self._spent)
        context.drains.append(self.drain)
        loop = asyncio.get_running_loop()
        self._serving = [loop.create_task(self._serve(place)) for place in self._places]

    @property
    def news(self) -> str:
        """What is amiss: workers that are not there, and what those that are wait for."""
        ready, all_ = sum(place.ready for place in self._places), len(self._places)
        lines = [f"{ready} of {all_} dialogue workers"] if ready < all_ else []
        lines += [f"{self._deaths} ended"] if self._deaths else []
        return "; ".join(dict.fromkeys([*(place.trouble for place in self._places if place.trouble), *lines]))

    async def ready(self) -> None:
        """Wait until all workers can hold dialogues; none has to be waited for.

        Raises:
            OpenmicError: what keeps one from it.
        """
        while any(not place.ready for place in self._places):
            if self._broken is not None:
                raise self._broken
            await asyncio.sleep(_LOOK_S)

    async def hold(self, dialogue: Dialogue, version: int, overused: Sequence[str], *, new: bool) -> None:
        """Have one dialogue held to its end; waits where all workers have as many as they may.

        Raises:
            OpenmicError: what ends the run, as whoever held it raised it.
            WorkerLostError: no worker could be kept alive.
        """
        if self._broken is not None:
            raise self._broken
        order = Hold(dialogue.id, dialogue.round, version, tuple(overused), new)
        job = _Job(order, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._hand_out()
        await job.done

    async def drain(self) -> Late:
        """Have nothing more begun, wait for replies on their way, and end the workers."""
        self._ending = True
        for place in self._places:
            for task in place.answering:
                task.cancel()
        ready = [place for place in self._places if place.ready]
        drains = [asyncio.ensure_future(call(place.actor.drain.remote(), OpenmicError)) for place in ready]
        try:
            late = [Late(0, 0)]
            if drains:
                done, hanging = await asyncio.wait(drains, timeout=DRAIN_SECONDS + _SLACK_S)
                late += [drained.result() for drained in done if drained.exception() is None]
                for place, drained in zip(ready, drains, strict=True):
                    if drained in hanging or drained.exception() is not None:
                        self._context.progress.print(
                            f"note: dialogue worker {place.number} did not end in time; going on asks again for what "
                            "was on its way to it"
                        )
            return Late(sum(one.unanswered for one in late), sum(one.unstored for one in late))
        finally:
            for task in (*drains, *self._serving):
                task.cancel()
            await asyncio.gather(*drains, *self._serving, return_exceptions=True)
            for place in self._places:
                if place.actor is not None:
                    end(place.actor)

    async def _serve(self, place: _Place) -> None:
        """Keep one place's worker: fetch what it has to say, and start another when it ends."""
        try:
            while True:
                try:
                    await self._open(place)
                    while True:
                        for news in await call(place.actor.news.remote(), OpenmicError):
                            self._take(place, news)
                except ActorLostError as error:
                    if self._ending:
                        return
                    await self._lost(place, error)
                    if place.deaths >= MOST_DEATHS:
                        self._give_up(place, error)
                        return
        except Exception as error:  # what one cannot open, none can
            self._break(error)

    async def _open(self, place: _Place) -> None:
        context = self._context
        place.actor = self._new_actor()
        setup = Setup(
            run_id=context.run.id,
            place=place.number,
            store=context.store.address,
            patience_s=context.store.patience_s,
            simulated_url=context.simulated_url,
            environment=environment_of(context.config),
            given=self._given,
            spent=self._budget_error(),
        )
        await call(place.actor.open.remote(setup), OpenmicError)
        place.ready = True
        self._hand_out()

    def _new_actor(self) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        config = self._context.config
        strategy: Any = "SPREAD"
        files = any(one is not None and one.demonstrations for one in (config.cast.teacher, config.cast.references))
        if self._context.simulated_url is not None or files or not is_postgresql(self._context.store.address):
            here = ray.get_runtime_context().get_node_id()  # where the store's file, the simulated cast and files are
            strategy = NodeAffinitySchedulingStrategy(here, soft=False)
        actor = ray.remote(DialogueWorker).options(
            num_cpus=config.dialogue.cpus_per_worker,
            max_restarts=0,  # another is opened in its place
            max_concurrency=CALLS,
            scheduling_strategy=strategy,
        )
        return actor.remote()

    def _take(self, place: _Place, news: News) -> None:
        match news:
            case Kept():
                write = self._context.store.submit(news.write)
                place.writes.add(write)
                write.add_done_callback(partial(self._written, place, news.number))
            case Asked():
                task = asyncio.get_running_loop().create_task(self._answer(place, news))
                place.answering.add(task)
                task.add_done_callback(place.answering.discard)
            case Took():
                self._context.budget.take(news.seat, news.usage)
            case Told():
                if news.line not in self._told:  # what one finds out of an endpoint, all do
                    self._told.add(news.line)
                    self._context.progress.print(news.line)
            case Trouble():
                place.trouble = news.line
            case Ended():
                self._ended(place, news)

    def _ended(self, place: _Place, news: Ended) -> None:
        job = place.held.pop(news.dialogue_id)
        place.deaths = 0
        if not job.done.done():
            if news.error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(news.error)
        self._hand_out()

    def _written(self, place: _Place, number: int, write: "asyncio.Future[None]") -> None:
        place.writes.discard(write)
        if not write.cancelled():
            error = write.exception()
            self._order(place, Answer(number, error=error if isinstance(error, Exception) else None))

    async def _answer(self, place: _Place, asked: Asked) -> None:
        try:
            answer = Answer(asked.number, await self._context.generate(asked.request))
        except Exception as error:
            answer = Answer(asked.number, error=as_sent(error))
        self._order(place, answer)

    def _hand_out(self) -> None:
        """Give what waits to the workers with the fewest dialogues."""
        while self._waiting:
            free = [place for place in self._places if place.ready and len(place.held) < self._most]
            if not free or self._ending:
                return
            job = self._waiting.popleft()
            if job.done.done():  # nobody waits for it any more
                continue
            place = min(free, key=lambda one: len(one.held))
            place.held[job.order.dialogue_id] = job
            self._order(place, job.order)

    def _order(self, place: _Place, order: Order) -> None:
        """Tell a worker something, with all else that it is told at this moment."""
        if not place.ready:
            return  # it ended, and who comes after it knows nothing of this
        if not place.orders:
            asyncio.get_running_loop().call_soon(self._send, place)
        place.orders.append(order)

    def _send(self, place: _Place) -> None:
        orders, place.orders = place.orders, []
        if place.ready:
            place.actor.tell.remote(orders)

    async def _lost(self, place: _Place, error: ActorLostError) -> None:
        """Give what a worker held to others, in their turn, once what it handed over is committed."""
        place.ready, place.trouble = False, ""
        place.orders.clear()
        place.deaths += 1
        self._deaths += 1
        end(place.actor)
        for task in place.answering:
            task.cancel()
        held = [job for job in place.held.values() if not job.done.done()]
        self._context.progress.print(
            f"note: dialogue worker {place.number} ended ({error}); {len(held)} dialogues go to others, and another "
            "is started in its place"
        )
        if place.writes:
            await asyncio.wait(list(place.writes))
        place.held.clear()
        for job in held:
            job.deaths += 1
            job.order = replace(job.order, new=False, again=True)
            if job.deaths < MOST_DEATHS:
                self._waiting.append(job)
                continue
            why = WorkerLostError(f"each of the {job.deaths} workers that held it ended, the last since {error}")
            dialogue = await self._context.store.patiently(self._context.store.get, Dialogue, job.order.dialogue_id)
            assert dialogue is not None
            await finish_dialogue(self._context.store, dialogue, error=why)
            if not job.done.done():
                job.done.set_result(None)
        self._hand_out()

    def _give_up(self, place: _Place, error: ActorLostError) -> None:
        """Go on without a worker that cannot be kept alive; without any, the run cannot."""
        self._places.remove(place)
        if self._places:
            self._most = ceil(self._context.config.dialogue.concurrency / len(self._places))
            self._context.progress.print(f"note: dialogue worker {place.number} is given up; {len(self._places)} go on")
            self._hand_out()
        else:
            self._break(WorkerLostError(f"no dialogue worker could be kept alive: {error}; see `ray status`"))

    def _break(self, error: Exception) -> None:
        """Nothing can be held any more: all that wait hear why."""
        self._broken = error
        for job in (*self._waiting, *(job for place in self._places for job in place.held.values())):
            if not job.done.done():
                job.done.set_exception(error)

    def _spent(self) -> None:
        if not self._told_spent and (error := self._budget_error()) is not None:
            self._told_spent = True
            for place in self._places:
                self._order(place, Spent(error))

    def _budget_error(self) -> BudgetError | None:
        try:
            self._context.budget.check()
        except BudgetError as error:
            return error
        return None
