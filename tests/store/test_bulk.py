from threading import Event, Thread

import pytest

from openmic.core.errors import StoreError
from openmic.store import Dialogue, ExampleRow, Store, Turn
from openmic.store.bulk import BulkWriter
from openmic.store.dialects.engine import writing
from openmic.store.search.search import search

from .rows import dialogue, example, turn


def test_everything_is_in_the_store_when_it_is_closed(store: Store) -> None:
    with BulkWriter(store, batch=7) as writer:
        for number in range(40):
            # A dialogue comes before its turns whatever the order they are given in.
            writer.add(
                turn(0, id=f"t{number}", dialogue_id=f"d{number}", content=f"joke{number}"),
                (Dialogue, dialogue(id=f"d{number}", round=number).model_dump()),
            )
    assert (store.count(Dialogue), store.count(Turn)) == (40, 40)
    assert [hit.turn.id for hit in search(store, "joke33")] == ["t33"]


def test_flushing_waits_until_it_is_written(store: Store) -> None:
    with BulkWriter(store) as writer:
        writer.add(example(id="e2"))
        assert store.count(ExampleRow) == 1
        writer.flush()
        assert store.count(ExampleRow) == 2


def test_a_failure_reaches_the_caller_and_names_the_row(store: Store) -> None:
    writer = BulkWriter(store)
    writer.add(example(id="e2"))
    writer.add(example(id="e3"), turn(0, dialogue_id="none"))
    writer.add(example(id="e4"))
    with pytest.raises(StoreError, match=r"(?i)adding Example 'e3', Turn 't0'.*foreign key"):
        writer.flush()
    for again in (writer.close, lambda: writer.add(example(id="e5")), writer.close):
        with pytest.raises(StoreError, match="'t0'"):
            again()
    # What came before is kept; a group is written as a whole or not at all.
    assert [row.id for row in store.select(ExampleRow)] == ["e1", "e2"]


def test_a_malformed_row_is_refused_at_once_and_stops_nothing(store: Store) -> None:
    with BulkWriter(store) as writer:
        with pytest.raises(StoreError, match=r"Example 'e2'.*text: Field required"):
            writer.add((ExampleRow, {"id": "e2"}))
        writer.add(example(id="e3"))
    assert [row.id for row in store.select(ExampleRow)] == ["e1", "e3"]


def test_what_goes_wrong_in_the_block_is_what_is_raised(store: Store) -> None:
    def break_off() -> None:
        with BulkWriter(store) as writer:
            writer.add(turn(0, dialogue_id="none"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()


def test_who_is_too_fast_waits(sqlite_store: Store) -> None:
    done = Event()
    writer = BulkWriter(sqlite_store, batch=1, batches_waiting=1)

    def hurry() -> None:
        for number in range(10):
            writer.add(example(id=f"x{number}"))
        done.set()

    with writing(sqlite_store.engine):  # nobody else can write
        caller = Thread(target=hurry)
        caller.start()
        while not writer._queue.full():
            pass
        assert not done.is_set()
    caller.join()
    writer.close()
    assert sqlite_store.count(ExampleRow) == 11
