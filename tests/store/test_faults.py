"""A store that refuses: locked, full, or no longer to be written. What was paid for waits; nothing else is lost."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.core.errors import StoreBusyError, StoreError, StoreFaultError, StoreFullError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.store import ExampleRow, Run, Store
from openmic.store.faults import store_fault
from openmic.store.writes import adding_new, saving_reply, updating

from ..full_disk import fill, small_disk_at
from ..postgresql import Server
from .rows import dialogue, example, run, turn

REQUEST = LLMRequest("teacher", "m", (Message(role="user", content="A kettle."),), Sampling(), 7)
REPLY = LLMReply(text="A joke." * 100, model="m")
LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print(flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def stored(path: Path) -> Iterator[Store]:
    """A store in a file with one run."""
    with Store.open(str(path)) as opened:
        opened.add(run(), example(), dialogue())
        yield opened


def lock(path: Path, seconds: float) -> "subprocess.Popen[str]":
    """Another process that keeps a store locked for so long."""
    process = subprocess.Popen([sys.executable, "-c", LOCK, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_the_event_loop_goes_on_while_a_lock_is_waited_for_and_nothing_is_lost(stored: Store, path: Path) -> None:
    ticks, troubles = 0, set[str]()

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1
            troubles.add(stored.trouble)

    async def act() -> None:
        ticking = asyncio.create_task(tick())
        replies = (stored.keep(saving_reply("RUN1", REQUEST, REPLY)), stored.keep(adding_new(turn(0))))
        await asyncio.gather(*replies)
        ticking.cancel()

    with lock(path, 2.5) as other:
        began = time.monotonic()
        asyncio.run(act())
        assert time.monotonic() - began > 1.5
        other.wait()
    assert ticks > 10  # were it deaf, it would be for a second at a time
    assert any("is locked by another process" in trouble for trouble in troubles)
    assert (stored.trouble, stored.saved_reply("RUN1", REQUEST.key)) == ("", REPLY)


def test_a_lock_that_nobody_lets_go_of_ends_the_waiting_with_code_1(stored: Store, path: Path) -> None:
    with lock(path, 30) as other:
        stored.patience_s = 0.5
        began = time.monotonic()
        with pytest.raises(StoreBusyError, match=r"locked by another process.*end that process") as refused:
            stored.update(Run, "RUN1", status="failed")
        assert time.monotonic() - began < 4
        assert refused.value.exit_code == 1
        other.kill()


def test_closing_ends_a_write_that_waits(stored: Store, path: Path) -> None:
    async def act() -> None:
        stored.patience_s = 600
        waiting = asyncio.ensure_future(stored.keep(updating(Run, "RUN1", status="failed")))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(stored.close)
        with pytest.raises(StoreBusyError):
            await waiting

    with lock(path, 30) as other:
        began = time.monotonic()
        asyncio.run(act())
        assert time.monotonic() - began < 5
        other.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    with small_disk_at(tmp_path / "small") as place:
        yield place


def test_a_full_disk_takes_the_last_replies_and_how_things_ended_and_nothing_else(small_disk: Path) -> None:
    asked = [replace(REQUEST, seed=seed) for seed in range(100)]
    with Store.open(str(small_disk / "store.db")) as store:
        store.add(run(), example(), dialogue())
        with store.room_for_last_words(small_disk):
            fill(small_disk)
            for one in asked:
                store.save_reply("RUN1", one, REPLY)
            with pytest.raises(StoreFullError, match="its disk is full; make room"):
                store.require_room()
            with pytest.raises(StoreFullError) as refused:
                store.add_new(turn(0))
            assert refused.value.exit_code == 1
            store.update(Run, "RUN1", status="interrupted", error="full")
        assert all(store.saved_reply("RUN1", one.key) == REPLY for one in asked)
    (small_disk / "filler").unlink()
    with Store.open(str(small_disk / "store.db")) as store:
        assert store.resolve_run("RUN1").status == "interrupted"
        store.add_new(turn(0))


def test_a_log_that_the_disk_has_no_room_for_keeps_what_it_holds(small_disk: Path) -> None:
    with Store.open(str(small_disk / "store.db")) as store:
        store.add(*(example(id=f"e{n}", text="x" * 1000) for n in range(500)))
        fill(small_disk)
        store.empty_log()
        assert store.count(ExampleRow) == 500
    (small_disk / "filler").unlink()
    with Store.open_readonly(str(small_disk / "store.db")) as store:
        assert store.count(ExampleRow) == 500


def test_without_room_for_last_words_nothing_begins(small_disk: Path) -> None:
    with Store.open(str(small_disk / "store.db")) as store:
        fill(small_disk)
        with pytest.raises(StoreFullError), store.room_for_last_words(small_disk):
            pytest.fail("it began")
        assert not (small_disk / "reserve").exists()


def test_what_breaks_at_work_ends_with_1_and_what_is_named_wrongly_with_2(stored: Store, path: Path) -> None:
    with pytest.raises(StoreFaultError) as refused:
        stored.add(turn(0), turn(0))
    assert refused.value.exit_code == 1
    with pytest.raises(StoreError) as unknown:
        Store.open_readonly(str(path.parent / "none.db"))
    assert unknown.value.exit_code == 2


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (sqlite3.SQLITE_READONLY, StoreFaultError, "can no longer be written"),
        (sqlite3.SQLITE_IOERR, StoreFaultError, "refused adding"),
        (sqlite3.SQLITE_FULL, StoreFullError, "has no room"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreBusyError, "is locked"),
    ],
)
def test_what_sqlite_says_is_understood(code: int, kind: type[StoreFaultError], told: str) -> None:
    from sqlalchemy.exc import OperationalError

    said = sqlite3.OperationalError("what SQLite says")
    said.sqlite_errorcode = code
    found = store_fault("sqlite:///x.db", "adding a turn", OperationalError("INSERT", {}, said))
    assert type(found) is kind
    assert told in str(found)


def test_a_connection_that_a_server_ends_is_made_again(server: Server, database: str) -> None:
    end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'"
    with Store.open(database) as store, ThreadPoolExecutor(1) as other:
        store.patience_s = 20
        store.add(run())
        ended = other.submit(lambda: [server.sql(end.format(database.rpartition("/")[2])) for _ in range(5)])
        number = 0
        while not ended.done() or number < 20:
            number += 1
            store.update(Run, "RUN1", status="running" if number % 2 else "failed")
        assert sum(map(int, ended.result())) > 0


def test_the_event_loop_goes_on_while_a_coroutine_reads_from_a_server_that_is_gone(
    server: Server, database: str
) -> None:
    ticks = 0

    async def read(store: Store) -> Run | None:
        nonlocal ticks
        reading = asyncio.create_task(store.patiently(store.get, Run, "RUN1"))
        for _ in range(10):
            await asyncio.sleep(0.1)
            ticks += not reading.done()
        await asyncio.to_thread(server.start)
        return await reading

    with Store.open(database) as store:
        store.patience_s = 60
        store.add(run())
        server.stop()
        found = asyncio.run(read(store))
    assert found is not None
    assert ticks == 10


def test_the_log_of_a_file_is_small_again_after_a_run(stored: Store, path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    for seq in range(300):
        stored.add(turn(seq, content="word " * 4000))
    assert log.stat().st_size > 5_000_000
    stored.empty_log()
    assert log.stat().st_size == 0
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM turn").fetchone() == (300,)
