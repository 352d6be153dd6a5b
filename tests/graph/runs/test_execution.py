import errno
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openmic.core.errors import ConfigError, InterruptedRunError, NotFoundError, OpenmicError, StoreFullError
from openmic.graph.runs.execution import execute
from openmic.store import Run, Store
from openmic.store.liveness import held_run, live_status

from ...postgresql import Server
from ..conftest import config_of, run_row


@pytest.fixture
def on_server(server: Server) -> Iterator[Store]:
    server.sql("DROP DATABASE IF EXISTS execution WITH (FORCE)")
    server.sql("CREATE DATABASE execution")
    with Store.open(server.url("execution")) as opened:
        yield opened


def test_a_run_that_another_machine_carries_out_is_not_taken_up(on_server: Store, tmp_path: Path) -> None:
    store, done = on_server, []
    store.add(run_row(config_of(), tmp_path))

    async def work(run: Run) -> None:
        done.append(run.id)

    with Store.open(store.address) as elsewhere, elsewhere.sole_writer("run RUN1"):
        store.update(Run, "RUN1", status="interrupted")
        with pytest.raises(ConfigError, match="another process is carrying out run RUN1"):
            execute(store, "RUN1", work)
        assert store.resolve_run("RUN1").status == "interrupted"
    assert execute(store, "RUN1", work).status == "finished"
    assert done == ["RUN1"]


def test_whoever_handled_sigterm_before_handles_it_afterwards(tmp_path: Path) -> None:
    async def work(run: Run) -> None:
        assert signal.getsignal(signal.SIGTERM) != mine

    def mine(number: int, frame: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Store.open(str(tmp_path / "openmic.db")) as store:
            store.add(run_row(config_of(), tmp_path))
            execute(store, "RUN1", work)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("number", "advice"), [(errno.ENOSPC, "make room"), (errno.EROFS, "make it writable")])
def test_a_run_that_the_disk_ended_can_be_resumed(tmp_path: Path, number: int, advice: str) -> None:
    async def work(run: Run) -> None:
        raise OSError(number, os.strerror(number), "/data/adapter")

    told = f"'/data/adapter' cannot be written: {os.strerror(number)}; {advice}, or name another place"
    with Store.open(str(tmp_path / "openmic.db")) as store:
        store.add(run_row(config_of(), tmp_path))
        with pytest.raises(OpenmicError) as ended:
            execute(store, "RUN1", work)
        assert (str(ended.value), type(ended.value)) == (told, OpenmicError)
        ended_run = store.resolve_run("RUN1")
    assert (ended_run.status, ended_run.error) == ("interrupted", told)


def test_a_run_that_was_deleted_before_it_was_taken_up_is_told_to_be(tmp_path: Path) -> None:
    async def work(_: Run) -> None:
        pytest.fail("there is nothing to work on")

    with Store.open(str(tmp_path / "openmic.db")) as store:
        with pytest.raises(NotFoundError, match="run RUN1 is gone"):
            execute(store, "RUN1", work)
        with pytest.raises(NotFoundError, match="run RUN1 is gone"):
            held_run(store, run_row(config_of(), tmp_path / "runs" / "RUN1")).__enter__()
    assert not (tmp_path / "runs").exists()


def test_an_error_of_ours_keeps_its_kind(tmp_path: Path) -> None:
    async def work(run: Run) -> None:
        raise OSError(errno.EBADF, "ours")

    with Store.open(str(tmp_path / "openmic.db")) as store:
        store.add(run_row(config_of(), tmp_path))
        with pytest.raises(OSError, match="ours"):
            execute(store, "RUN1", work)
        assert store.resolve_run("RUN1").error == "OSError: [Errno 9] ours"


@pytest.mark.parametrize("taken", [True, False])
def test_a_run_that_its_store_ended_is_interrupted_and_one_line_says_why(tmp_path: Path, taken: bool) -> None:
    async def work(run: Run) -> None:
        if not taken:
            store.patience_s = 0.0
            other.execute("BEGIN IMMEDIATE")
        raise StoreFullError("the store has no room")

    with (
        Store.open(str(tmp_path / "openmic.db")) as store,
        closing(sqlite3.connect(tmp_path / "openmic.db", isolation_level=None)) as other,
    ):
        store.add(run_row(config_of(), tmp_path))
        with pytest.raises(StoreFullError, match=r"^the store has no room$") as ended:
            execute(store, "RUN1", work)
        assert ended.value.exit_code == 1
        row = store.resolve_run("RUN1")
        told = ("interrupted", "the store has no room", "interrupted") if taken else ("running", None, "died")
        assert (row.status, row.error, live_status(store, row)) == told
        assert not (tmp_path / "reserve").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_for_its_server_ends_when_it_is_asked_to(
    on_server: Store, server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    on_server.add(run_row(config_of(), tmp_path))

    async def work(run: Run) -> None:
        server.stop()
        threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
        on_server.resolve_run("RUN1")

    began = time.monotonic()
    try:
        with pytest.raises(InterruptedRunError):
            execute(on_server, "RUN1", work)
        assert time.monotonic() - began < 60  # it would wait for ten minutes
    finally:
        server.start()
    on_server.patience_s = 15
    assert live_status(on_server, on_server.resolve_run("RUN1")) == "died"
