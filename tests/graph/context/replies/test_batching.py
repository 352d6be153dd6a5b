"""Requests in providers' batches: sent together, on record before they are waited for, never paid for twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from openmic.agents.endpoints import batches
from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.endpoints.room import FIRST_ROOM
from openmic.core.config import EndpointSettings
from openmic.core.endpoints.costs import BudgetSettings
from openmic.core.errors import BudgetError, EndpointLostError, InterruptedRunError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.graph.context.budget import Budget
from openmic.graph.context.replies import batching
from openmic.graph.context.replies.reply_cache import ReplyCache
from openmic.store import LLMCall, Run, Store
from openmic.store.spending import llm_usage

from ....agents.batch_endpoint import BatchEndpoint
from ....agents.scripted_endpoint import Answer, Asked, completion, failure
from ...conftest import config_of, run_row

T = TypeVar("T")
PRICE = {"model": "m", "per_million": dict.fromkeys(("input", "cached", "output", "reasoning"), 1e6), "source": "test"}
NUMBER = 8


def request(number: int) -> LLMRequest:
    words = Message(role="user", content=f"Question {number}")
    return LLMRequest("teacher", "m", (words,), Sampling(max_tokens=10), 7)


def echoed(asked: Asked, number: int = 0) -> Answer:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return Answer(body=completion(f"Answer to {asked.body['messages'][-1]['content']}", usage=usage))


@pytest.fixture
def endpoint() -> Iterator[BatchEndpoint]:
    with BatchEndpoint() as running:
        running.chat = echoed
        yield running


class Asking:
    """Requests of a run whose teacher is asked in batches; each call is a process of its own, as the store sees it."""

    def __init__(self, store: Store, endpoint: BatchEndpoint) -> None:
        self.store, self.endpoint = store, endpoint
        self.told: list[str] = []

    def __call__(self, act: Callable[[ReplyCache], Awaitable[T]], *, patience_s: float = 5, **limits: float) -> T:
        async def perform() -> T:
            settings = EndpointSettings(model="m", max_retries=0, patience_s=patience_s, batch=True)
            client = OpenAIClient(settings, base_url=self.endpoint.base_url, tell=self.told.append)
            budget = Budget.of(self.store, self.run, BudgetSettings.model_validate(limits), self.told.append)
            try:
                return await act(ReplyCache(self.store, "RUN1", {("teacher", 0): client}, budget))
            finally:
                await client.close()

        return asyncio.run(perform())

    @property
    def run(self) -> Run:
        found = self.store.get(Run, "RUN1")
        assert found is not None
        return found

    @property
    def posted(self) -> list[str]:
        """What was begun at the provider, in order."""
        return [asked.path for asked in self.endpoint.asked if asked.method == "POST"]


@pytest.fixture
def asking(store: Store, endpoint: BatchEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(batching, "QUIET_S", 0.02)
    monkeypatch.setattr(batching, "FEWEST", 3)
    monkeypatch.setattr(batches, "FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(batches, "wait_before", lambda attempt, asked: 0.02)
    store.add(run_row(config_of(), tmp_path, cost={"prices": {"teacher.0": PRICE}}))
    return Asking(store, endpoint)


async def until(there: Callable[[], bool]) -> None:
    for _ in range(3000):
        if there():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def all_of(number: int = NUMBER, stage: str = "demonstrate") -> Callable[[ReplyCache], Coroutine[Any, Any, list[str]]]:
    async def act(llm: ReplyCache) -> list[str]:
        async with llm.batching.open(stage):
            replies = await asyncio.gather(*(llm.complete(request(place)) for place in range(number)))
        return [reply.text for reply in replies]

    return act


def answers(number: int = NUMBER) -> list[str]:
    return [f"Answer to Question {place}" for place in range(number)]


def test_requests_go_together_and_each_gets_its_own_reply_at_half_the_price(
    asking: Asking, endpoint: BatchEndpoint, store: Store
) -> None:
    assert asking(all_of()) == answers()
    assert len(endpoint.asked_singly()) == 1  # the first, which shows what the endpoint takes
    assert len(endpoint.batches) == 1
    lines = endpoint.requests(0)
    assert {line["custom_id"] for line in lines} == {request(place).key for place in range(1, NUMBER)}
    assert {(line["method"], line["url"], line["body"]["model"]) for line in lines} == {
        ("POST", "/v1/chat/completions", "m")
    }
    assert lines[0]["body"].keys() == endpoint.asked_singly()[0].keys()
    rows = store.select(LLMCall)
    assert sorted(row.batched for row in rows) == [0] + [1] * (NUMBER - 1)
    used = llm_usage(store, asking.run)["teacher"]
    assert (used.requests, used.batched, used.usd) == (NUMBER, NUMBER - 1, 4.0 + (NUMBER - 1) * 2.0)
    [record] = asking.run.batches
    assert record | {"sent_at": ""} == {
        "seat": "teacher.0",
        "stages": [],
        "file": "file-0",
        "batch": "batch_0",
        "requests": NUMBER - 1,
        "room": 0,
        "sent_at": "",
        "ended": True,
    }
    before = len(endpoint.asked)
    assert asking(all_of()) == answers()
    assert len(endpoint.asked) == before


def test_thoughts_alone_in_one_batch_make_room_once(asking: Asking, endpoint: BatchEndpoint) -> None:
    thought = {"role": "assistant", "content": None, "reasoning_content": "Let me see"}
    tight = completion(message=thought, finish_reason="length")

    def thinking(asked: Asked, number: int = 0) -> Answer:
        first = asked.body["messages"][-1]["content"] == "Question 0"
        return echoed(asked) if first or asked.body["max_tokens"] > 10 else Answer(body=tight)

    endpoint.chat = thinking
    assert asking(all_of()) == answers()
    asked = [body["max_tokens"] for body in endpoint.asked_singly()]
    assert asked == [10] + [10 + FIRST_ROOM] * (NUMBER - 1)


THOUGHT = {"role": "assistant", "content": None, "reasoning_content": "Let me see"}


def thinks_until(needs: int) -> Callable[[Asked, int], Answer]:
    """Thinks first, whatever it is asked, and gets to an answer within so many tokens, to Question 0 in any case."""

    def chat(asked: Asked, number: int = 0) -> Answer:
        words = asked.body["messages"][-1]["content"]
        answer = echoed(asked)
        if words != "Question 0" and asked.body["max_tokens"] < needs:
            return Answer(body=completion(message=THOUGHT, finish_reason="length"))
        if words == "Question 0":
            answer.body["choices"][0]["message"]["reasoning_content"] = "Hm"
        return answer

    return chat


def test_a_thought_that_a_process_now_gone_left_room_for_is_no_answer_but_asked_again_with_more(
    asking: Asking, endpoint: BatchEndpoint, store: Store
) -> None:
    endpoint.chat = thinks_until(10 + 4 * FIRST_ROOM)
    killed_while_waiting(asking)
    assert [record["room"] for record in asking.run.batches] == [FIRST_ROOM]
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert [body["max_tokens"] for body in endpoint.asked_singly()] == [10] + [10 + 4 * FIRST_ROOM] * (NUMBER - 1)
    assert store.thoughts_alone("RUN1")["teacher", 0] == (NUMBER - 1, FIRST_ROOM)


def test_a_batch_that_is_looked_at_again_has_its_thoughts_counted_once(
    asking: Asking, endpoint: BatchEndpoint, store: Store
) -> None:
    alone = Answer(body=completion(message=THOUGHT, finish_reason="length"))
    endpoint.in_batch = lambda asked: alone
    first = iter([True])
    endpoint.chat = lambda asked, number: echoed(asked) if next(first, False) else failure(401, "no such key")
    with pytest.raises(EndpointLostError, match="no such key"):
        asking(all_of(), patience_s=0)
    assert store.count(LLMCall) == NUMBER
    endpoint.chat = echoed
    assert asking(all_of()) == answers()
    assert store.count(LLMCall) == 2 * NUMBER - 1
    assert len(endpoint.batches) == 1


def test_room_for_thoughts_is_set_aside_of_the_budget(asking: Asking, endpoint: BatchEndpoint) -> None:
    endpoint.chat = thinks_until(0)
    assert asking(all_of(20), tokens=4 * (FIRST_ROOM + 20)) == answers(20)
    assert len(endpoint.requests(0)) == 4


def test_what_is_asked_outside_a_stage_that_knows_its_requests_is_asked_singly(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    async def act(llm: ReplyCache) -> list[LLMReply]:
        return await asyncio.gather(*(llm.complete(request(place)) for place in range(NUMBER)))

    asking(act)
    assert (len(endpoint.asked_singly()), endpoint.batches) == (NUMBER, [])


@pytest.mark.parametrize("number", [2, 3])  # one is asked to find out what is refused, and two are too few
def test_too_few_requests_are_asked_singly(asking: Asking, endpoint: BatchEndpoint, number: int) -> None:
    assert asking(all_of(number)) == answers(number)
    assert (len(endpoint.asked_singly()), endpoint.batches) == (number, [])


def killed_while_waiting(asking: Asking) -> None:
    """What a process leaves behind that was killed while it waited: its tasks never go on."""

    async def act(llm: ReplyCache) -> None:
        task = asyncio.create_task(all_of()(llm))
        await until(lambda: any(record["batch"] for record in asking.run.batches))
        assert not task.done()

    asking.endpoint.looks = 10_000
    asking(act)


def test_a_run_that_was_killed_waits_for_the_same_batch_and_pays_nothing_twice(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    killed_while_waiting(asking)
    assert [record["ended"] for record in asking.run.batches] == [False]
    before = asking.posted
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert asking.posted == before
    assert [record["ended"] for record in asking.run.batches] == [True]
    assert all(line.startswith("the teacher's endpoint http://") for line in asking.told)


def test_a_batch_whose_replies_another_stage_waits_for_is_not_done_with(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    killed_while_waiting(asking)
    before = asking.posted
    endpoint.looks = 0
    assert asking(all_of(4, "evaluate")) == answers(4)
    assert [record["ended"] for record in asking.run.batches] == [False]
    assert asking(all_of()) == answers()
    assert asking.posted == before
    assert [record["ended"] for record in asking.run.batches] == [True]


def test_a_stage_that_is_over_closes_its_batches_though_nobody_asks_for_them(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    killed_while_waiting(asking)
    before = len(endpoint.asked)
    asking(all_of(0))
    assert [(record["ended"], record["stages"]) for record in asking.run.batches] == [(True, [])]
    assert len(endpoint.asked) == before


def test_a_batch_that_does_not_say_whose_it_is_stays_open_until_its_replies_are_taken_in(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    killed_while_waiting(asking)
    [record] = asking.run.batches
    asking.store.update(Run, "RUN1", batches=[{name: record[name] for name in record if name != "stages"}])
    before = asking.posted
    endpoint.looks = 0
    asking(all_of(0, "evaluate"))
    assert [record["ended"] for record in asking.run.batches] == [False]
    assert asking(all_of()) == answers()
    assert asking.posted == before
    assert [record["ended"] for record in asking.run.batches] == [True]


def test_a_batch_whose_replies_came_to_nothing_is_closed_with_its_stage(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    """A reply that cannot be read, whose request is refused when it is asked singly, is never stored."""
    endpoint.in_batch = lambda asked: Answer(body={"choices": 7})
    endpoint.chat = lambda asked, number: (
        echoed(asked) if asked.body["messages"][-1]["content"] == "Question 0" else failure(400, "bad manners")
    )

    async def act(llm: ReplyCache) -> list[LLMReply | BaseException]:
        async with llm.batching.open("demonstrate"):
            calls = (llm.complete(request(place)) for place in range(NUMBER))
            return await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(reply, LLMReply) for reply in asking(act)) == 1
    assert [record["ended"] for record in asking.run.batches] == [True]


def test_a_batch_that_is_waited_for_stays_open_though_its_stage_is_over(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    """Where one of an item's requests fails, the item does, and its others may still wait for a batch."""

    async def act(llm: ReplyCache) -> list[bool]:
        endpoint.looks = 10_000
        async with llm.batching.open("demonstrate"):
            asked = [asyncio.create_task(llm.complete(request(place))) for place in range(NUMBER)]
            await until(lambda: any(record["batch"] for record in asking.run.batches))
        found = [asking.run.batches[0]["ended"]]
        endpoint.looks = 0
        await asyncio.gather(*asked)
        async with llm.batching.open("evaluate"):
            pass
        return [*found, asking.run.batches[0]["ended"]]

    assert asking(act) == [False, True]


def test_an_interrupt_ends_at_once_and_says_that_the_batch_goes_on(asking: Asking, endpoint: BatchEndpoint) -> None:
    endpoint.looks = 10_000

    async def act(llm: ReplyCache) -> tuple[str, float]:
        task = asyncio.create_task(all_of()(llm))
        await until(lambda: bool(llm.trouble()))
        news, began = llm.trouble(), time.monotonic()
        assert await llm.drain() == (0, 0)
        took = time.monotonic() - began
        with pytest.raises(InterruptedRunError):
            await task
        return news, took

    news, took = asking(act)
    assert news.startswith("batch of 7 at the teacher's provider: 0 done, ")
    assert took < 5
    assert asking.told[-1].endswith("goes on with a batch of 7 requests; a run that is taken up has its replies")


@pytest.mark.parametrize("begun", [False, True])
def test_a_lost_answer_to_the_beginning_of_a_batch_begins_no_second(
    asking: Asking, endpoint: BatchEndpoint, begun: bool
) -> None:
    def lost(number: int) -> Answer | None:
        return Answer(close=True) if number == 0 else None

    if begun:
        endpoint.after_begun = lost
    else:
        endpoint.before_begun = lost
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_killed_between_the_file_and_its_batch_finds_the_batch_or_begins_it(
    asking: Asking, endpoint: BatchEndpoint, begun: bool
) -> None:
    killed_while_waiting(asking)
    asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    if not begun:
        endpoint.batches.clear()
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert (len(endpoint.batches), next(iter(endpoint.files))) == (1, "file-0")
    assert asking.posted.count("/v1/files") == 1


def test_a_batch_is_found_behind_others_though_the_providers_clock_is_another(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    killed_while_waiting(asking)
    asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    [ours] = endpoint.batches
    ours["created_at"] = 0
    endpoint.batches.append({**ours, "id": "batch_of_others", "input_file_id": "file-of-others", "created_at": 5})
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 2


def test_a_batch_that_the_provider_has_no_more_is_sent_anew(asking: Asking, endpoint: BatchEndpoint) -> None:
    killed_while_waiting(asking)
    endpoint.batches.clear()
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1
    assert any("has a batch of 7 requests no more: they are asked anew" in line for line in asking.told)


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("path", ["/batches/batch_0", "/batches", "/files/output-0/content"])
@pytest.mark.parametrize("patience_s", [0, 5])
def test_what_is_missing_once_is_not_taken_to_be_gone(
    asking: Asking, endpoint: BatchEndpoint, status: int, path: str, patience_s: float
) -> None:
    killed_while_waiting(asking)
    asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    odd, before = iter([failure(status, "not found")]), asking.posted
    endpoint.instead = lambda method, asked: next(odd, None) if (method, asked) == ("GET", path) else None
    endpoint.looks = 0
    assert asking(all_of(), patience_s=patience_s) == answers()
    assert asking.posted == before
    assert next(odd, None) is None
    assert not any(record.get("missed") for record in asking.run.batches)


@pytest.mark.parametrize("path", ["/batches/batch_0", "/batches", "/", "/files/output-0/content"])
def test_a_batch_that_may_be_there_is_never_paid_twice_though_it_cannot_be_had_now(
    asking: Asking, endpoint: BatchEndpoint, path: str
) -> None:
    killed_while_waiting(asking)
    if path in {"/batches", "/"}:
        asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    before = asking.posted
    endpoint.looks = 0
    endpoint.instead = lambda method, asked: failure(404, "not found") if asked == path or path == "/" else None
    with pytest.raises(EndpointLostError, match="not found"):
        asking(all_of(), patience_s=0.2)
    endpoint.instead = lambda method, asked: None
    assert asking(all_of()) == answers()
    assert asking.posted == before


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("status", [404, 410])
def test_replies_that_the_provider_has_no_more_are_said_to_be_lost_and_asked_anew(
    asking: Asking, endpoint: BatchEndpoint, killed: bool, status: int
) -> None:
    if killed:
        killed_while_waiting(asking)
        endpoint.looks = 0
    gone = {"/files/output-0", "/files/output-0/content"}
    endpoint.instead = lambda method, asked: failure(status, "No such File object") if asked in gone else None
    assert asking(all_of(), patience_s=0.3) == answers()
    # A process's first request is asked singly.
    assert [len(endpoint.requests(batch)) for batch in range(len(endpoint.batches))] == [7, 6 if killed else 7]
    assert [(record["ended"], record.get("lost", False)) for record in asking.run.batches] == [
        (True, True),
        (True, False),
    ]
    [line] = [line for line in asking.told if "no more" in line]
    assert "has the replies of a batch of 7 requests no more (batch_0), though they were paid for" in line
    assert line.endswith("those that are not in the store are asked anew, 7 requests at most")


@pytest.mark.parametrize("about", [{"status": "deleted"}, {"expires_at": 1_000_000_000}])
def test_a_file_of_replies_that_has_expired_is_gone(
    asking: Asking, endpoint: BatchEndpoint, about: dict[str, Any]
) -> None:
    says = {
        "/files/output-0": Answer(body={"id": "output-0", "object": "file", **about}),
        "/files/output-0/content": failure(404, "The file has expired"),
    }
    endpoint.instead = lambda method, asked: says.get(asked)
    assert asking(all_of(), patience_s=0.3) == answers()
    assert [record.get("lost", False) for record in asking.run.batches] == [True, False]


def test_replies_that_should_be_there_are_asked_anew_only_by_a_run_that_is_taken_up(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    missing = failure(404, "nothing here")
    endpoint.instead = lambda method, asked: missing if asked == "/files/output-0/content" else None
    with pytest.raises(
        EndpointLostError,
        match=r"replies of a batch of 7 requests \(batch_0\), which are paid for.*asks those requests anew",
    ):
        asking(all_of(), patience_s=0.2)
    assert [(record["ended"], record["missed"]) for record in asking.run.batches] == [(False, True)]
    assert asking(all_of(), patience_s=0.2) == answers()
    assert [record.get("lost", False) for record in asking.run.batches] == [True, False]


def test_a_file_of_replies_that_comes_later_than_the_batchs_end_is_waited_for(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    missing = iter([failure(404, "No such File object")] * 10)
    endpoint.instead = lambda method, asked: next(missing, None) if asked.startswith("/files/output-0") else None
    assert asking(all_of(), patience_s=60) == answers()
    assert len(endpoint.batches) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_replies_that_cannot_be_had_now_are_not_taken_to_be_lost(
    asking: Asking, endpoint: BatchEndpoint, status: int
) -> None:
    busy = failure(status, "later")
    endpoint.instead = lambda method, asked: busy if asked.startswith("/files/output-0") else None
    for _ in range(2):
        with pytest.raises(EndpointLostError, match="later"):
            asking(all_of(), patience_s=0.2)
    endpoint.instead = lambda method, asked: None
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1


def test_a_file_that_the_provider_has_no_more_is_uploaded_anew(asking: Asking, endpoint: BatchEndpoint) -> None:
    killed_while_waiting(asking)
    asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    endpoint.batches.clear()
    endpoint.before_begun = lambda number: failure(404, "no such file") if number <= batches.LOOKS else None
    endpoint.looks = 0
    assert asking(all_of()) == answers()
    assert [batch["input_file_id"] for batch in endpoint.batches] == ["file-1"]


def test_what_an_expired_batch_did_not_come_to_goes_into_another_and_then_is_asked_singly(
    asking: Asking, endpoint: BatchEndpoint, store: Store
) -> None:
    endpoint.ends_as = lambda batch: "expired"
    endpoint.reaches = lambda batch, place: batch == 1 - place % 2 if place < 2 else batch == 0 and place < 4
    assert asking(all_of(10)) == answers(10)
    assert [len(endpoint.requests(batch)) for batch in range(len(endpoint.batches))] == [9, 6]
    again = {line["custom_id"] for line in endpoint.requests(1)}
    assert again <= {line["custom_id"] for line in endpoint.requests(0)}
    assert (store.count(LLMCall, batched=1), len(endpoint.asked_singly())) == (3 + 1, 1 + 5)
    assert any("expired a batch of 9 requests: 3 are answered, 6 are asked anew" in line for line in asking.told)


def test_what_a_batch_answers_with_an_error_or_no_answer_is_asked_singly(
    asking: Asking, endpoint: BatchEndpoint, store: Store
) -> None:
    def in_batch(asked: Asked) -> Answer:
        place = int(asked.body["messages"][-1]["content"].split()[-1])
        odd = {
            2: failure(400, "The key SECRET-1 has bad manners"),
            3: Answer(body={"choices": []}),
            4: Answer(body=completion("", finish_reason="length")),
        }
        return odd.get(place, echoed(asked))

    endpoint.in_batch = in_batch
    assert asking(all_of()) == answers()
    singly = [body["messages"][-1]["content"] for body in endpoint.asked_singly()]
    assert sorted(singly) == ["Question 0", "Question 2", "Question 3", "Question 4"]
    assert store.count(LLMCall) == NUMBER + 1  # the reply that was cut off is kept for what it took
    [line] = [line for line in asking.told if "asked anew" in line]
    assert "6 are answered, 1 are asked anew (1 times: The key SECRET-1 has bad manners)" in line


ODD: list[Any] = [None, "words", ["x", 3], {"completed": "3", "data": {"message": 7}}]
"""All there is: tests/agents/endpoints/test_batches.py."""


@pytest.mark.parametrize("odd", ODD)
def test_what_a_batch_says_beside_its_status_may_be_anything(asking: Asking, endpoint: BatchEndpoint, odd: Any) -> None:
    beside = dict.fromkeys(("errors", "request_counts", "created_at", "metadata", "endpoint", "object"), odd)
    endpoint.shown_as = lambda batch: batch | beside
    endpoint.after_begun = lambda number: Answer(close=True) if number == 0 else None
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1
    endpoint.ends_as = lambda batch: "failed"
    with pytest.raises(EndpointLostError, match="requests failed at the provider: "):
        asking(all_of(2 * NUMBER))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["id", "status", "output_file_id"])
def test_a_batch_that_cannot_be_read_ends_the_run_in_words_and_is_looked_at_again(
    asking: Asking, endpoint: BatchEndpoint, field: str, odd: Any
) -> None:
    odd = 7 if odd == "words" and field == "status" else "" if odd == "words" else odd
    endpoint.shown_as = lambda batch: batch | {field: odd}
    if field == "output_file_id":  # its replies are nowhere: that is told, and they are asked for otherwise
        assert asking(all_of()) == answers()
        assert any("completed a batch of 7 requests: 0 are answered, 7 are asked anew" in line for line in asking.told)
        return
    with pytest.raises(EndpointLostError, match="what it answers is no batch"):
        asking(all_of(), patience_s=0.2)
    endpoint.shown_as = lambda batch: batch
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1


def test_a_list_that_does_not_say_of_which_files_its_batches_are_begins_no_second(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    endpoint.shown_as = lambda batch: batch | {"input_file_id": None}
    endpoint.after_begun = lambda number: Answer(close=True) if number == 0 else None
    with pytest.raises(EndpointLostError, match="does not say of which file batch_0 is"):
        asking(all_of(), patience_s=0.2)
    endpoint.shown_as = lambda batch: batch
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1


@pytest.mark.parametrize("odd", [{"input_file_id": None}, {"id": None}, None])
def test_a_batch_of_others_that_cannot_be_read_hides_ours_in_no_list(
    asking: Asking, endpoint: BatchEndpoint, odd: dict[str, Any] | None
) -> None:
    killed_while_waiting(asking)
    asking.store.update(Run, "RUN1", batches=[{**asking.run.batches[0], "batch": None}])
    endpoint.batches.append({**endpoint.batches[0], "id": "batch_of_others", "input_file_id": "file-of-others"})
    others = "batch_of_others"
    endpoint.shown_as = lambda batch: batch if batch["id"] != others else odd and batch | odd
    endpoint.looks = 0
    assert asking(all_of(), patience_s=0.2) == answers()
    assert len(endpoint.batches) == 2


@pytest.mark.parametrize("told", [[], "words", {"id": None}, {"object": "list", "data": "words"}, {"data": [7, {}]}])
def test_an_answer_that_is_none_ends_the_run_in_words(asking: Asking, endpoint: BatchEndpoint, told: Any) -> None:
    def instead_of(path: str) -> Callable[[str, str], Answer | None]:
        return lambda method, asked: Answer(body=told) if asked == path else None

    for path in ("/files", "/batches", "/batches/batch_0"):
        endpoint.instead = instead_of(path)
        with pytest.raises(EndpointLostError, match="cannot go on: "):
            asking(all_of(), patience_s=0.1)
    endpoint.instead = lambda method, asked: None
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 1


def test_a_line_that_is_not_what_the_protocol_says_costs_its_own_request_alone(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    odd: list[Any] = [
        *[{"error": "it was busy"}] * 2,
        {"error": ["x"], "response": []},
        {"error": {"code": ["y"]}},
        {"response": "too late"},
        {"response": {"status_code": 400, "body": {"error": "bad manners"}}},
        {"response": {"status_code": 200, "body": "words"}},
    ]
    left = iter(odd)
    endpoint.told_as = lambda told: {"custom_id": told["custom_id"]} | next(left, told)
    assert asking(all_of()) == answers()
    assert len(endpoint.asked_singly()) == 1 + len(odd)
    assert any("0 are answered, 7 are asked anew (2 times: it was busy" in line for line in asking.told)


def test_the_key_is_in_nothing_that_a_provider_is_told_to_have_said(
    asking: Asking, endpoint: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    endpoint.in_batch = lambda asked: failure(400, "sk-very-secret is no key")
    assert asking(all_of()) == answers()
    assert any("is no key" in line for line in asking.told)
    assert not any("sk-very-secret" in line for line in asking.told)


def test_a_failed_batch_ends_with_the_providers_words_and_is_sent_anew_later(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    endpoint.ends_as = lambda batch: "failed" if batch == 0 else "completed"
    endpoint.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    with pytest.raises(EndpointLostError, match="a batch of 7 requests failed at the provider: Enqueued token limit"):
        asking(all_of())
    assert asking(all_of()) == answers()
    assert len(endpoint.batches) == 2


def test_an_endpoint_that_refuses_the_batch_ends_the_run_with_its_words_and_is_sent_another_file_later(
    asking: Asking, endpoint: BatchEndpoint
) -> None:
    endpoint.before_begun = lambda number: failure(400, "no batches on Sundays") if number == 0 else None
    with pytest.raises(EndpointLostError, match="no batches on Sundays"):
        asking(all_of())
    assert asking(all_of()) == answers()
    assert [batch["input_file_id"] for batch in endpoint.batches] == ["file-1"]  # the file that it refused stays so


def test_a_batch_holds_no_more_than_the_budget_has_room_for(asking: Asking, endpoint: BatchEndpoint) -> None:
    with pytest.raises(BudgetError):
        asking(all_of(20), usd=4 + 4 * 6.5)
    assert len(endpoint.requests(0)) == 4
    used = llm_usage(asking.store, asking.run)["teacher"]
    assert used.usd is not None
    assert used.usd <= 30 + 3 * 4  # no more than those that are asked singly at once go beyond it
    assert asking(all_of(20)) == answers(20)


def test_requests_beyond_a_files_limits_make_several_batches(
    asking: Asking, endpoint: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_REQUESTS", 4)
    assert asking(all_of(10)) == answers(10)
    assert sorted(len(endpoint.requests(batch)) for batch in range(len(endpoint.batches))) == [1, 4, 4]
