import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from openmic.store import ExampleRow, Store, Turn
from openmic.store.dialects.engine import writing

from .rows import dialogue, example, turn


@pytest.mark.slow
def test_a_reader_reads_while_threads_write(store: Store) -> None:
    threads, each = 8, 250
    store.add(*(dialogue(id=f"d{thread}", round=thread) for thread in range(threads)))

    def write(thread: int) -> None:
        for seq in range(each):
            store.add(turn(seq, id=f"t{thread}-{seq}", dialogue_id=f"d{thread}"))

    seen = [0]
    with Store.open_readonly(store.address) as reader, ThreadPoolExecutor(threads) as pool:
        writers = [pool.submit(write, thread) for thread in range(threads)]
        while not all(writer.done() for writer in writers):
            seen.append(reader.count(Turn))
            # What is seen is whole: each dialogue's turns are there from the first to the last one written.
            turns = reader.conversation("d0").turns
            assert [turn.seq for turn in turns] == list(range(len(turns)))
            time.sleep(0.02)
        for writer in writers:
            writer.result()
        assert reader.count(Turn) == threads * each
    assert seen == sorted(seen)
    assert len(set(seen)) > 3, "the reader saw nothing of the writing"


def test_many_threads_read_one_store(store: Store) -> None:
    barrier = Barrier(24)

    def read() -> int:
        barrier.wait()
        with store._session() as session:  # all of them hold a connection at once
            session.connection()
            barrier.wait()
        return store.count(ExampleRow)

    with ThreadPoolExecutor(24) as pool:
        assert [read.result() for read in [pool.submit(read) for _ in range(24)]] == [1] * 24


def test_a_reader_is_not_held_up_by_an_open_write(store: Store) -> None:
    with Store.open_readonly(store.address) as reader, writing(store._engine) as connection:
        connection.exec_driver_sql("INSERT INTO example (id, text, fields) VALUES ('e2', 'x', '{}')")
        started = time.monotonic()
        assert reader.count(ExampleRow) == 1
        assert time.monotonic() - started < 1


@pytest.mark.slow
def test_a_second_writing_process_waits_its_turn(store: Store) -> None:
    script = "import sys; from openmic.store import Store, ExampleRow\nwith Store.open(sys.argv[1]) as s: "
    script += "[s.add(ExampleRow(id=f'p{n}', text='x')) for n in range(20)]"
    with subprocess.Popen([sys.executable, "-W", "error", "-c", script, store.address]) as other:
        number = 0
        while other.poll() is None:
            store.add(example(id=f"o{number}"))
            number += 1
    assert other.returncode == 0
    assert store.count(ExampleRow) == 1 + 20 + number


def test_opening_one_new_store_at_once_makes_one_schema(address: str) -> None:
    barrier = Barrier(4)

    def open_it(number: int) -> None:
        barrier.wait()
        with Store.open(address) as opened:
            opened.add(example(id=f"e{number}"))

    with ThreadPoolExecutor(4) as pool:
        for opening in [pool.submit(open_it, number) for number in range(4)]:
            opening.result()
    with Store.open_readonly(address) as reader:
        assert reader.count(ExampleRow) == 4


def test_what_was_added_survives_the_process_being_killed(address: str) -> None:
    script = "import os, sys, signal; from openmic.store import Store, ExampleRow; s = Store.open(sys.argv[1]); "
    script += "s.add(ExampleRow(id='paid', text='x')); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", script, address], check=False).returncode == -9
    with Store.open_readonly(address) as reader:
        assert reader.get(ExampleRow, "paid") is not None


def test_closing_leaves_one_file_and_twice_does_no_harm(path: Path) -> None:
    store = Store.open(str(path))
    store.add(example())
    store.close()
    store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("count", [300])
def test_adding_a_turn_is_quick(store: Store, count: int) -> None:
    store.add(dialogue())
    started = time.perf_counter()
    for seq in range(count):
        store.add(turn(seq))
    assert (time.perf_counter() - started) / count < 0.02
