"""Writes in batches: each is acknowledged once it is committed, in order, and fails for its own fault alone."""

import asyncio
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from openmic.core.errors import NotFoundError, StoreBusyError, StoreError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.store import Dialogue, Run, Store, Turn
from openmic.store.dialects.engine import writing
from openmic.store.writer import Unwaited
from openmic.store.writes import Write, adding, adding_new, saving_reply, updating

from .rows import dialogue, example, run, turn


def all_at_once(store: Store, *writes: Write) -> list[BaseException | None]:
    """Hand writes in while the writer is kept from writing, so that they become one batch; what came of each."""

    async def act() -> list[BaseException | None]:
        with store.writing_alone():
            first = store.submit(updating(Run, "RUN1", name="first"))
            await asyncio.sleep(0.05)  # the writer is busy with that one
            waiting = [store.submit(write) for write in writes]
        return (await asyncio.gather(first, *waiting, return_exceptions=True))[1:]

    return asyncio.run(act())


def test_each_write_of_a_batch_fails_for_its_own_fault_alone(store: Store) -> None:
    store.add(dialogue())
    outcomes = all_at_once(
        store,
        adding_new(turn(0)),
        adding_new(turn(1, parent_turn_id="none")),
        updating(Dialogue, "none", status="failed"),
        adding_new(turn(0), turn(2)),
        adding(turn(2)),
        updating(Dialogue, "d1", status="finished", final_turn_id="t2"),
    )
    assert [place for place, outcome in enumerate(outcomes) if outcome is not None] == [1, 2, 4]
    assert "Turn 't1'" in str(outcomes[1])
    assert isinstance(outcomes[2], NotFoundError)
    assert isinstance(outcomes[4], StoreError)
    assert [row.id for row in store.select(Turn, order_by="seq")] == ["t0", "t2"]
    found = store.get(Dialogue, "d1")
    assert found is not None
    assert (found.status, found.final_turn_id) == ("finished", "t2")


def test_a_batch_is_one_transaction_and_is_acknowledged_after_it(sqlite_store: Store, path: Path) -> None:
    sqlite_store.add(dialogue())
    seen = []

    async def act() -> None:
        with closing(sqlite3.connect(path)) as raw:
            with sqlite_store.writing_alone():
                sqlite_store.submit(updating(Run, "RUN1", name="first"))
                await asyncio.sleep(0.05)
                waiting = [sqlite_store.submit(adding_new(turn(seq))) for seq in range(50)]
            for future in waiting:
                await future
                seen.append(raw.execute("SELECT count(*) FROM turn").fetchone()[0])

    asyncio.run(act())
    assert seen == [50] * 50


def test_a_batch_that_a_lock_keeps_out_waits_once(sqlite_store: Store, path: Path) -> None:
    sqlite_store.add(dialogue())
    sqlite_store.patience_s = 0.0
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = all_at_once(sqlite_store, *(adding_new(turn(seq)) for seq in range(5)))
    assert {type(outcome) for outcome in outcomes} == {StoreBusyError}
    assert len({id(outcome) for outcome in outcomes}) == 1


def test_what_is_not_waited_for_fails_whoever_comes_next(store: Store) -> None:
    store.add(dialogue())

    async def act() -> None:
        writes = Unwaited(store.submit)
        await writes.keep(adding_new(turn(0, parent_turn_id="none")))
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            await writes.settle()
        writes = Unwaited(store.submit)
        await writes.keep(adding_new(turn(1, parent_turn_id="none")))
        await store.keep(adding_new(turn(2)))
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            await writes.keep(adding_new(turn(3)))

    asyncio.run(act())
    assert [row.id for row in store.select(Turn)] == ["t2"]


def test_closing_a_store_writes_what_waits(path: Path) -> None:
    async def act(store: Store) -> None:
        for seq in range(300):
            store.submit(adding_new(turn(seq)))

    with Store.open(str(path)) as store:
        store.add(run(), example(), dialogue())
        asyncio.run(act(store))
    with Store.open_readonly(str(path)) as store:
        assert store.count(Turn) == 300


def test_writes_can_be_sent_to_another_process(store: Store) -> None:
    request = LLMRequest("critic", "big", (Message(role="user", content="Which?"),), Sampling(), 7)
    reply = LLMReply(text="A", model="big")
    sent = [
        adding_new(dialogue(), turn(0)),
        updating(Dialogue, "d1", status="failed"),
        saving_reply("RUN1", request, reply),
    ]
    for write in sent:
        with writing(store.engine) as connection:
            pickle.loads(pickle.dumps(write)).put(connection)
    found = store.get(Dialogue, "d1")
    assert found is not None
    assert found.status == "failed"
    assert store.saved_reply("RUN1", request.key) == reply
