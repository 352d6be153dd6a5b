import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.errors import (
    EndpointError,
    EndpointLostError,
    InterruptedRunError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.graph.context.replies.reply_cache import Late, ReplyCache
from openmic.graph.context.seats import Seat
from openmic.store import LLMCall, Store

from ...conftest import Serve, config_of, run_row

T = TypeVar("T")


def request(text: str = "The kettle broke.", ordinal: int = 0) -> LLMRequest:
    content = f"Write exactly 1.\n<sentence>{text}</sentence>"
    return LLMRequest(
        "teacher", "sim-teacher", (Message(role="user", content=content),), Sampling(), 7, ordinal=ordinal
    )


def using(store: Store, url: str, act: Callable[[ReplyCache], Awaitable[T]], run: str = "RUN1", **settings: int) -> T:
    async def perform() -> T:
        client = OpenAIClient(
            EndpointSettings(model="sim-teacher", max_retries=0, patience_s=0, **settings), base_url=url
        )
        try:
            return await act(ReplyCache(store, run, {("teacher", 0): client}))
        finally:
            await client.close()

    return asyncio.run(perform())


def asked(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


@pytest.fixture(autouse=True)
def _run(store: Store, tmp_path: Path) -> None:
    store.add(run_row(config_of(), tmp_path))


def test_a_question_is_asked_once_even_when_it_is_asked_twice_at_once(store: Store, serve: Serve, log: Path) -> None:
    async def act(llm: ReplyCache) -> None:
        first, second = await asyncio.gather(llm.complete(request()), llm.complete(request()))
        assert first == second
        assert await llm.complete(request()) == first

    using(store, serve(log, latency_s=0.05), act)
    assert asked(log) == 1
    assert store.count(LLMCall) == 1


def test_another_ordinal_is_another_question(store: Store, serve: Serve, log: Path) -> None:
    async def act(llm: ReplyCache) -> None:
        await asyncio.gather(llm.complete(request()), llm.complete(request(ordinal=1)))

    using(store, serve(log), act)
    assert asked(log) == 2


def test_each_member_of_a_jury_is_asked_at_its_own_endpoint(store: Store, serve: Serve) -> None:
    async def perform() -> dict[int, LLMReply]:
        clients: dict[Seat, OpenAIClient] = {
            ("teacher", member): OpenAIClient(EndpointSettings(model=model, max_retries=0), base_url=serve())
            for member, model in enumerate(("sim-teacher", "sim-judge"))
        }
        llm = ReplyCache(store, "RUN1", clients)
        replies = {member: await llm.complete(replace(request(), member=member)) for member in (0, 1)}
        await asyncio.gather(*(client.close() for client in clients.values()))
        return replies

    replies = asyncio.run(perform())
    assert {member: reply.model for member, reply in replies.items()} == {0: "sim-teacher", 1: "sim-judge"}
    assert store.count(LLMCall) == 2


def test_what_the_store_holds_is_not_asked_again_by_another_process(store: Store, serve: Serve, log: Path) -> None:
    url = serve(log)
    first = using(store, url, lambda llm: llm.complete(request()))
    assert using(store, "http://127.0.0.1:9/v1", lambda llm: llm.complete(request())) == first
    assert asked(log) == 1


def test_a_reply_that_cannot_be_stored_is_not_used(store: Store, serve: Serve, log: Path) -> None:
    with pytest.raises(StoreError):
        using(store, serve(log), lambda llm: llm.complete(request()), run="NO-SUCH-RUN")
    assert asked(log) == 1


def test_a_reply_is_in_the_store_when_it_is_given(store: Store, serve: Serve) -> None:
    async def act(llm: ReplyCache) -> None:
        reply = await llm.complete(request())
        assert store.saved_reply("RUN1", request().key) == reply
        assert reply.text

    using(store, serve(), act)


def test_an_error_is_no_answer_and_the_question_may_be_asked_again(store: Store, serve: Serve) -> None:
    with pytest.raises(EndpointLostError):
        using(store, "http://127.0.0.1:9/v1", lambda llm: llm.complete(request()))
    assert store.count(LLMCall) == 0
    assert using(store, serve(), lambda llm: llm.complete(request())).text


def test_draining_stores_what_is_in_flight_though_nobody_waits_for_it_any_more(
    store: Store, serve: Serve, log: Path
) -> None:
    async def act(llm: ReplyCache) -> None:
        dialogue = asyncio.create_task(llm.complete(request()))
        await asyncio.sleep(0.1)  # on its way
        dialogue.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialogue
        assert store.count(LLMCall) == 0
        await llm.drain()
        assert store.saved_reply("RUN1", request().key) is not None

    using(store, serve(log, latency_s=0.6), act)
    assert [json.loads(line)["status"] for line in log.read_text(encoding="utf-8").splitlines()] == [200]


def test_replies_that_take_longer_than_an_end_may_are_counted(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.graph.context.replies.reply_cache.DRAIN_SECONDS", 0.05)

    async def act(llm: ReplyCache) -> list[Late]:
        asking = [asyncio.create_task(llm.complete(request(text))) for text in ("One.", "Two.")]
        await asyncio.sleep(0.1)
        late = [await llm.drain()]
        await asyncio.gather(*asking)
        return [*late, await llm.drain()]

    assert using(store, serve(latency_s=0.6), act) == [(2, 0), (0, 0)]


def test_after_draining_nothing_new_is_asked_but_stored_replies_are_still_given(
    store: Store, serve: Serve, log: Path
) -> None:
    async def act(llm: ReplyCache) -> None:
        reply = await llm.complete(request())
        await llm.drain()
        with pytest.raises(InterruptedRunError):
            await llm.complete(request("Another sentence."))
        assert await llm.complete(request()) == reply

    using(store, serve(log), act)
    assert asked(log) == 1


def test_draining_does_not_send_what_was_still_waiting_for_its_turn(store: Store, serve: Serve, log: Path) -> None:
    async def act(llm: ReplyCache) -> list[object]:
        both = [asyncio.create_task(llm.complete(request(text))) for text in ("The kettle broke.", "The bus was late.")]
        await asyncio.sleep(0.1)
        await llm.drain()
        return await asyncio.gather(*both, return_exceptions=True)

    sent, waiting = using(store, serve(log, latency_s=0.6), act, max_concurrency=1)
    assert not isinstance(sent, BaseException)
    assert isinstance(waiting, EndpointError)
    assert asked(log) == store.count(LLMCall) == 1


def test_a_reply_waits_for_a_store_that_is_locked_and_is_given_when_it_is_stored(
    store: Store, serve: Serve, log: Path
) -> None:
    async def act(llm: ReplyCache) -> None:
        with closing(sqlite3.connect(str(store.engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.create_task(llm.complete(request()))
            await asyncio.sleep(1.6)
            assert not asking.done()
            assert "locked by another process" in llm.trouble()
            other.execute("COMMIT")
        assert (await asking).text
        assert llm.trouble() == ""
        assert store.saved_reply("RUN1", request().key) == await asking

    using(store, serve(log), act)
    assert asked(log) == 1


def test_an_end_does_not_wait_for_whoever_keeps_the_store_locked_and_says_what_was_not_stored(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.graph.context.replies.reply_cache.DRAIN_SECONDS", 0.5)
    store.patience_s = 600

    async def act(llm: ReplyCache) -> Late:
        with closing(sqlite3.connect(str(store.engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.create_task(llm.complete(request()))
            await asyncio.sleep(0.5)
            late = await llm.drain()
            with pytest.raises(StoreBusyError):
                await asking
            return late

    assert using(store, serve(), act) == (0, 1)


def test_nothing_is_asked_that_a_full_disk_could_not_keep(
    store: Store, serve: Serve, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_full", StoreFullError("full"))
    with pytest.raises(StoreFullError, match="make room"):
        using(store, serve(log), lambda llm: llm.complete(request()))
    assert not log.exists() or asked(log) == 0
