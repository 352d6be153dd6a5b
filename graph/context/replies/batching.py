"""Requests that are known beforehand, sent to their providers in batches: half the price, within a day.

Whoever asks asks as ever, one request after another, within `in_batches`. Once nobody asks any more, all that wait
for the same seat are sent together, and each gets its reply as if it had been asked alone. A batch is on the run's
record before it is waited for, so a run that is taken up looks at the same batch again. Its record is closed once the
stage is over whose requests it has.

What a batch does not answer is asked singly, or in one more batch; so is what is too little for one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from ....agents.endpoints.batches import (
    MOST_BYTES,
    MOST_REQUESTS,
    Answered,
    BatchAnswers,
    BatchRefusedError,
    BatchSeen,
    NotGivenError,
    batch_line,
)
from ....agents.endpoints.client import OpenAIClient
from ....core.errors import EndpointLostError, InterruptedRunError
from ....core.records import LLMReply, LLMRequest, TokenUsage
from ....core.text import rough_tokens, spoken
from ....store import Run, Store
from ....store.schema import now
from ....store.writes import updating
from ..budget import Allowance, Budget
from ..prices import seat_key
from ..seats import Seat

QUIET_S = 1.0
"""After so long without another request a batch is sent."""
FEWEST = 16
"""Fewer requests than these are asked singly: for the price of next to nothing they would wait a day."""
MOST_TIMES = 2
"""How often a request is put into a batch that does not come to it."""
_STAGE: ContextVar[str] = ContextVar("_STAGE", default="")
"""The stage that asks in batches; empty where requests are asked singly."""


@dataclass(frozen=True, slots=True)
class Batched:
    """A reply that came in a batch."""

    reply: LLMReply
    thought_alone: bool
    """Whether it is no answer: it is to be kept for what it took, and the request to be asked singly.

    The batch's id is in its `raw`: a run that is taken up may be handed the same reply again.
    """


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for a batch."""

    request: LLMRequest
    stage: str
    """Whose it is."""
    reply: "asyncio.Future[Batched | None]"
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once its reply is stored, or it came to nothing."""
    times: int = 0
    """Batches that it was sent in."""


class Batching:
    """All batches of one run. Use from one event loop."""

    def __init__(
        self, store: Store, run_id: str, clients: Mapping[Seat, OpenAIClient], budget: Allowance | None
    ) -> None:
        batched = {seat: client for seat, client in clients.items() if client.in_batches}
        self._records = _Records(store, run_id) if batched else None
        # Dialogue workers, whose budget is another's, send none.
        own = budget if isinstance(budget, Budget) else None
        self._queues = {
            seat: _Queue(seat, client, self._records, own) for seat, client in batched.items() if self._records
        }

    def __bool__(self) -> bool:
        """Whether anybody is asked in batches."""
        return bool(self._queues)

    @property
    def news(self) -> list[str]:
        """A line for each batch that is waited for."""
        return [line for queue in self._queues.values() for line in queue.news.values()]

    @asynccontextmanager
    async def open(self, stage: str) -> AsyncIterator[None]:
        """For the time of the block, have what it asks of seats that take batches wait for one.

        Args:
            stage: Its name, the same whenever the run is taken up. Once the block has come to its end, nobody waits for
                the stage's batches any more.
        """
        token = _STAGE.set(stage)
        if self._records is not None:
            self._records.stages.add(stage)
        try:
            yield
        finally:
            _STAGE.reset(token)
        if self._records is not None:
            await self._records.stage_is_over(stage)

    def takes(self, request: LLMRequest) -> bool:
        """Whether this request, asked from here, waits for a batch."""
        return bool(_STAGE.get()) and not request.score_prompt and (request.role, request.member) in self._queues

    @contextmanager
    def waiting(self, request: LLMRequest) -> Iterator["asyncio.Future[Batched | None]"]:
        """Have a request wait for a batch; the reply in it, or None: it is to be asked singly.

        The block is left once the reply is stored.
        """
        one = _Waiting(request, _STAGE.get(), asyncio.get_running_loop().create_future())
        self._queues[request.role, request.member].put(one)
        try:
            yield one.reply
        finally:
            one.over.set()


class _Records:
    """What the run's row says of its batches."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        run = store.get(Run, run_id)
        self._all: list[dict[str, Any]] = [] if run is None else [dict(one) for one in run.batches]
        self._followed = list[dict[str, Any]]()
        self.stages = set[str]()
        """Those that are under way."""

    def open(self, seat: Seat) -> list[dict[str, Any]]:
        """Those of a seat whose replies may not all be stored."""
        return [one for one in self._all if one["seat"] == seat_key(seat) and not one["ended"]]

    async def add(self, seat: Seat, stages: Iterable[str], file: str, requests: int, room: int) -> dict[str, Any]:
        """Record a batch that is about to be begun, with the room that its replies have."""
        record: dict[str, Any] = {"seat": seat_key(seat), "stages": sorted(self.stages.intersection(stages))}
        record |= {"file": file, "batch": None, "requests": requests, "room": room}
        record |= {"sent_at": now().isoformat(), "ended": False}
        self._all.append(record)
        await self._save()
        return record

    async def change(self, record: dict[str, Any], **values: Any) -> None:
        """Record something more of a batch."""
        record |= values
        await self._save()

    @contextmanager
    def followed(self, record: dict[str, Any]) -> Iterator[None]:
        """For the time of the block, keep a batch's record open, whatever stages are over.

        One that does not say whose requests it has is of those that are under way once its replies are taken in.
        """
        self._followed.append(record)
        try:
            yield
        finally:
            self._followed = [one for one in self._followed if one is not record]
        record.setdefault("stages", sorted(self.stages))

    async def stage_is_over(self, stage: str) -> None:
        """Close those that no other stage has requests in.

        All that was asked for is stored or has failed by then. What is still waited for has lost whoever asked for it,
        as the item has failed meanwhile, and is closed when another stage is over.
        """
        self.stages.discard(stage)
        left = [one for one in self._all if not one["ended"]]
        for record in left:
            if "stages" not in record:  # its replies are still to be taken in, whosever they are
                continue
            record["stages"] = [name for name in record["stages"] if name != stage]
            record["ended"] = not record["stages"] and not any(one is record for one in self._followed)
        if left:
            await self._save()

    async def _save(self) -> None:
        await self._store.keep(updating(Run, self._run_id, batches=[dict(one) for one in self._all]))


class _Queue:
    """Requests of one seat: collected, sent, waited for and given their replies."""

    def __init__(self, seat: Seat, client: OpenAIClient, records: _Records, budget: Budget | None) -> None:
        self._seat, self._client, self._records, self._budget = seat, client, records, budget
        self._provider = client.batches
        self._left_open = records.open(seat)
        self._answers: dict[str, tuple[Answered, Mapping[str, Any]]] = {}
        """By request what a batch says of it, and the batch's record."""
        self._waiting: list[_Waiting] = []
        self._collecting: asyncio.Task[None] | None = None
        self._sending = set[asyncio.Task[None]]()
        self._first = asyncio.Lock()
        self._tried = False
        self.news: dict[int, str] = {}
        """By batch, how far it is."""

    def put(self, one: _Waiting) -> None:
        """Have a request wait; it is sent with all others that come within a moment of each other."""
        self._waiting.append(one)
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        known = 0
        while known != len(self._waiting) and not self._client.stopped:
            known = len(self._waiting)
            await self._client.sleep(QUIET_S)
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._see_to(waiting))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _see_to(self, waiting: list[_Waiting]) -> None:
        """Give each of them a reply, leave to ask singly, or the error that ends them all."""
        try:
            async with self._first:
                while self._left_open:
                    if not self._left_open[0]["ended"]:
                        await self._follow(self._left_open[0], begun=True)
                    self._left_open.pop(0)
                left = self._hand_out(waiting)
                if not self._tried and len(left) >= FEWEST:
                    # What the endpoint refuses, and how much room its thoughts need, is found out at the price of one.
                    await _singly(left[:1])
                    self._tried, left = True, left[1:]
            while left:
                left = await self._send(left)
        except Exception as error:  # raised where they wait
            for one in waiting:
                if not one.reply.done():
                    one.reply.set_exception(error)

    async def _send(self, waiting: Sequence[_Waiting]) -> list[_Waiting]:
        """Send as many as the budget has room for; what is left to be sent."""
        number, give_back = len(waiting), None
        if self._budget is not None:
            number, give_back = self._budget.set_aside(self._seat, [self._most(one.request) for one in waiting])
        try:
            if number < FEWEST:
                await _singly(waiting[:FEWEST])
                return list(waiting[FEWEST:])
            room, parts = self._client.room, [*self._parts(waiting[:number])]
            left = await asyncio.gather(*(self._batch(part, room) for part in parts))
        finally:
            if give_back is not None:
                give_back()
        return [*chain.from_iterable(left), *waiting[number:]]

    def _most(self, request: LLMRequest) -> TokenUsage:
        read = sum(rough_tokens(message.content) for message in request.messages)
        return TokenUsage(input=read, output=self._client.most_written(request), batched=1)

    def _parts(self, waiting: Iterable[_Waiting]) -> Iterator[list[tuple[_Waiting, bytes]]]:
        """As many as go into a file, each with its line."""
        part, size = list[tuple[_Waiting, bytes]](), 0
        for one in waiting:
            line = batch_line(one.request.key, self._client.batch_body(one.request))
            if part and (len(part) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                yield part
                part, size = [], 0
            part.append((one, line))
            size += len(line) + 1
        if part:
            yield part

    async def _batch(self, part: Sequence[tuple[_Waiting, bytes]], room: int) -> list[_Waiting]:
        """Send a batch and wait for it; those that it did not come to."""
        file = await self._provider.upload([line for _, line in part])
        stages = (one.stage for one, _ in part)
        record = await self._records.add(self._seat, stages, file, len(part), room)
        for one, _ in part:
            one.times += 1
        await self._follow(record)
        return self._hand_out([one for one, _ in part], singly_from=MOST_TIMES)

    async def _follow(self, record: dict[str, Any], *, begun: bool = False) -> None:
        with self._records.followed(record):
            await self._take_in(record, begun=begun)

    async def _take_in(self, record: dict[str, Any], *, begun: bool) -> None:
        """Wait for a batch's end, and take its answers in.

        Raises:
            EndpointLostError: the provider does not carry it out; its words are in it.
            InterruptedRunError: the run is ending; the batch goes on.
        """
        requests, sent = f"a batch of {record['requests']:,} requests", datetime.fromisoformat(record["sent_at"])
        if record["batch"] is None:
            try:
                batch_id = await self._provider.begin(record["file"], maybe_begun=begun)
            except BatchRefusedError:
                await self._records.change(record, ended=True)  # a run that is taken up makes another file
                raise
            if batch_id is None:
                await self._records.change(record, ended=True)
                return
            await self._records.change(record, batch=batch_id)
        self._say(f"{'is asked again about' if begun else 'has'} {requests} ({record['batch']})")
        try:
            tell = partial(self._tell, record, sent)
            batch = await self._provider.ended(record["batch"], record["file"], tell)
            if batch is None:
                self._say(f"has {requests} no more: they are asked anew")
                await self._records.change(record, ended=True, lost=True)
                return
            answers = await self._answers_of(batch, record)
        except InterruptedRunError:
            self._say(f"goes on with {requests}; a run that is taken up has its replies")
            raise
        finally:
            self.news.pop(id(record), None)
        found = answers.found
        if batch.status == "failed" and not found and not answers.lost:
            await self._records.change(record, ended=True)
            raise EndpointLostError(f"{requests} failed at the provider: {batch.wrong or 'it does not say why'}")
        self._answers |= {key: (answered, record) for key, answered in found.items()}
        if answers.lost:
            self._say(
                f"has the replies of {requests} no more ({record['batch']}), though they were paid for: those that are "
                f"not in the store are asked anew, {record['requests'] - len(found):,} requests at most"
            )
            await self._records.change(record, ended=True, lost=True)
            return
        self._say(f"{batch.status} {requests}{_counted(record['requests'], found)}")

    async def _answers_of(self, batch: BatchSeen, record: dict[str, Any]) -> BatchAnswers:
        try:
            return await self._provider.answers(batch, missed=record.get("missed", False))
        except NotGivenError as error:
            await self._records.change(record, missed=True)
            raise EndpointLostError(
                f"{error}; it does not give out the replies of a batch of {record['requests']:,} requests "
                f"({record['batch']}), which are paid for: a run that is taken up asks for them once more, and asks "
                "those requests anew where that is in vain"
            ) from error

    def _say(self, what: str) -> None:
        self._client.say(what, self._seat[0])

    def _tell(self, record: dict[str, Any], sent: datetime, batch: BatchSeen) -> None:
        done = "" if batch.done is None else f"{batch.done:,} done, "
        since = spoken((now() - sent).total_seconds())
        self.news[id(record)] = (
            f"batch of {record['requests']:,} at the {self._seat[0]}'s provider: {done}{batch.status}, {since}"
        )

    def _hand_out(self, waiting: Iterable[_Waiting], *, singly_from: int | None = None) -> list[_Waiting]:
        """Give those their replies that have one by now; the others, without those that are to be asked singly.

        Args:
            waiting: Who waits.
            singly_from: After so many batches that did not come to it a request is asked singly.
        """
        left = []
        for one in waiting:
            answer, record = self._answers.pop(one.request.key, (None, {}))
            if answer is None or not answer.asked:
                if singly_from is not None and one.times >= singly_from:
                    one.reply.set_result(None)
                else:
                    left.append(one)
                continue
            one.reply.set_result(self._read(one.request, answer, record))
        return left

    def _read(self, request: LLMRequest, answer: Answered, record: Mapping[str, Any]) -> Batched | None:
        """The reply that a batch has to a request; None where it has none."""
        if answer.body is None:
            return None
        if (found := self._client.batched_reply(request, answer.body, record["room"])) is None:
            return None
        reply, thought_alone = found
        if thought_alone:
            reply = reply.model_copy(update={"raw": reply.raw | {"batch": record["batch"]}})
        return Batched(reply, thought_alone)


async def _singly(waiting: Sequence[_Waiting]) -> None:
    """Have these asked singly, and wait until they were."""
    for one in waiting:
        one.reply.set_result(None)
    for one in waiting:
        await one.over.wait()


def _counted(requests: int, answers: Mapping[str, Answered]) -> str:
    """How many a batch answered, and why not all."""
    answered = sum(answer.body is not None for answer in answers.values())
    reasons = Counter(answer.why for answer in answers.values() if answer.body is None)
    if answered >= requests:
        return ""
    why = (
        f" ({', '.join(f'{number:,} times: {reason}' for reason, number in reasons.most_common(2))})" if reasons else ""
    )
    return f": {answered:,} are answered, {requests - answered:,} are asked anew{why}"
