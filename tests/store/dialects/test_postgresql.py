import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from openmic.core.errors import ConfigError, StoreError, StoreFaultError
from openmic.store import ExampleRow, Run, Store, check_writable
from openmic.store.dialects.engine import place_of
from openmic.store.dialects.postgresql import lock_key

from ... import postgresql
from ...postgresql import PASSWORD, Server
from ...waiting import wait_until
from ..rows import example


def test_a_database_passes_and_nothing_is_created(server: Server, database: str) -> None:
    address = database
    check_writable(address)
    assert server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", address.rpartition("/")[2]) == "0"
    Store.open(address).close()
    check_writable(address)


def test_another_programs_database_is_left_alone(server: Server, database: str) -> None:
    address = database
    name = address.rpartition("/")[2]
    server.sql("CREATE TABLE recipes (id int)", name)
    with pytest.raises(StoreError, match=r"another program's.*recipes") as caught:
        Store.open(address)
    assert PASSWORD not in str(caught.value)
    assert server.sql("SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'", name) == "recipes"
    with pytest.raises(StoreError, match=f"postgresql://teller@.*{name}.*not an openmic store"):
        Store.open_readonly(address)


def test_what_cannot_be_a_store_is_refused_without_showing_a_password(server: Server, database: str) -> None:
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    server.sql("CREATE ROLE guest LOGIN PASSWORD 'gu3st'")
    server.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database.rpartition("/")[2])
    as_guest = database.replace("teller:s3cret%2F%40%3Aword", "guest:gu3st")
    closed = server.url("x").replace(f":{server.port}/", ":1/")
    for address, why in (
        (server.url("nowhere"), 'database "nowhere" does not exist.*createdb'),
        (server.url("postgres", "wr0ng"), "password authentication failed.*PGPASSWORD"),
        (closed, "refused.*see that the server runs"),
        (server.url("latin"), "encoded in LATIN1.*createdb -E UTF8"),
        (as_guest, "may not create tables in schema 'public'"),
    ):
        for attempt in (check_writable, Store.open):
            with pytest.raises(StoreError, match=why) as caught:
                attempt(address)
            assert not any(secret in str(caught.value) for secret in (PASSWORD, "s3cret", "wr0ng", "gu3st"))


def test_a_password_is_shown_nowhere(postgresql_store: Store, server: Server) -> None:
    store = postgresql_store
    assert "s3cret" in store.address
    assert store.url == store.address.replace(":s3cret%2F%40%3Aword", "") == place_of(store._engine)
    with pytest.raises(StoreError) as caught:
        store.add(example())
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(store._engine)


def test_the_password_may_come_from_the_environment(postgresql_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with Store.open_readonly(postgresql_store.url) as reader:
        assert reader.url == postgresql_store.url
        assert reader.count(Run) == 1


def test_a_nul_is_refused_as_text(postgresql_store: Store) -> None:
    with pytest.raises(StoreError, match=r"Example 'e2'.*NUL"):
        postgresql_store.add(example(id="e2", text="a\0b"))


def test_a_run_is_one_processs_at_a_time(postgresql_store: Store) -> None:
    script = (
        "import sys; from openmic.store import Store\nwith Store.open(sys.argv[1]) as s, s.sole_writer('run RUN1'):\n"
    )
    script += " print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-W", "error", "-c", script, postgresql_store.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=rf"carrying out run RUN1 \(process {other.pid} on .+\)"):
            postgresql_store.sole_writer("run RUN1").__enter__()
        with postgresql_store.sole_writer("run RUN2"):
            pass
        other.kill()
    deadline = time.monotonic() + 10
    while True:  # the server notices a moment later that the connection has ended
        try:
            with postgresql_store.sole_writer("run RUN1"):
                break
        except ConfigError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_look_never_keeps_a_run_from_its_writer(postgresql_store: Store) -> None:
    names = [f"run RUN{number}" for number in range(8)]  # keys with and without their highest bits
    asked: list[str] = []
    with Store.open_readonly(postgresql_store.address) as looking:
        assert [looking.held_on_server(name) for name in names] == [False] * 8
        with ExitStack() as held:
            for name in names[::2]:
                held.enter_context(postgresql_store.sole_writer(name))
            assert [looking.held_on_server(name) for name in names] == [True, False] * 4

        @event.listens_for(looking._engine, "before_cursor_execute")
        def note(*statement: Any) -> None:
            asked.append(statement[2])

        assert [looking.held_on_server(name) for name in names] == [False] * 8
    assert asked
    assert not any("lock(" in statement for statement in asked)


def test_a_run_can_be_held_again_by_the_same_process(store: Store) -> None:
    for _ in range(2):
        with store.sole_writer("run RUN1"):
            store.update(Run, "RUN1", name="held")


@pytest.fixture
def another_server() -> Iterator[Server]:
    with postgresql.running() as server:
        yield server


def test_a_run_is_held_again_when_its_server_was_started_again(another_server: Server) -> None:
    server = another_server
    server.sql("CREATE DATABASE held")
    with Store.open(server.url("held")) as store, store.sole_writer("run RUN1"):
        server.stop()
        server.start()
        wait_until(lambda: store.held_on_server("run RUN1"))


def test_a_hold_whose_connection_was_dropped_on_the_way_is_taken_again(postgresql_store: Store) -> None:
    with postgresql_store.sole_writer("run RUN1"), Path(os.devnull).open("rb") as nothing:
        [hold] = postgresql_store._holds
        dropped = hold._connection
        assert dropped is not None
        raw: Any = dropped.connection.dbapi_connection
        file = raw.fileno()
        server_side = os.dup(file)  # the server hears nothing of it
        os.dup2(nothing.fileno(), file)
        wait_until(lambda: hold._connection not in {None, dropped})
        wait_until(lambda: postgresql_store.held_on_server("run RUN1"))
        assert not hold.lost
        os.close(server_side)


def test_a_run_that_another_process_took_up_meanwhile_is_left_to_it(postgresql_store: Store, server: Server) -> None:
    store = postgresql_store
    locks = "FROM pg_locks WHERE locktype = 'advisory'"
    with ThreadPoolExecutor(1) as thread, store.engine.connect() as other, store.sole_writer("run RUN1"):
        taking = thread.submit(other.execute, select(func.pg_advisory_lock(lock_key("run RUN1"))))
        wait_until(lambda: server.sql(f"SELECT count(*) {locks} AND NOT granted") == "1")
        server.sql(f"SELECT pg_terminate_backend(pid) {locks} AND granted")
        taking.result()
        [hold] = store._holds
        wait_until(lambda: hold.lost)
        with pytest.raises(StoreFaultError, match="another process took run RUN1 up") as refused:
            store.update(Run, "RUN1", name="twice")
        assert refused.value.exit_code == 1
        other.rollback()
        other.execute(select(func.pg_advisory_unlock_all()))


def test_a_server_that_goes_away_is_a_store_error_and_may_come_back(another_server: Server) -> None:
    server = another_server
    server.sql("CREATE DATABASE db")
    with Store.open(server.url("db")) as store, Store.open_readonly(server.url("db")) as reader:
        store.add(example())
        assert reader.count(ExampleRow) == 1
        with store._session() as session:
            session.connection()
            server.stop()
        for attempt in (
            lambda: store.add(example(id="e2")),
            lambda: store.count(ExampleRow),
            lambda: reader.get(Run, ""),
        ):
            with pytest.raises(StoreError, match="store 'postgresql://teller@") as caught:
                attempt()
            assert "s3cret" not in str(caught.value)
        server.start()
        store.add(example(id="e3"))
        assert [row.id for row in reader.select(ExampleRow)] == ["e1", "e3"]


def test_a_connection_that_breaks_in_the_middle_says_how_to_go_on(postgresql_store: Store, server: Server) -> None:
    name = postgresql_store.url.rpartition("/")[2]
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    def read() -> None:
        with postgresql_store._session() as session:
            session.execute(text("SELECT 1"))
            server.sql(kill)
            session.execute(text("SELECT 1"))

    with pytest.raises(StoreError, match=r"was lost while reading.*openmic resume"):
        read()
    # The connections that were idle are found broken before they are used.
    server.sql(kill)
    assert postgresql_store.count(ExampleRow) == 1


def test_the_clear_message_where_postgresql_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "PLACES", ())
    monkeypatch.setenv("PATH", str(Path("/nowhere")))
    with pytest.raises(RuntimeError, match="apt-get install postgresql"):
        postgresql.find_binaries()
