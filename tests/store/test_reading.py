from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from openmic.core.errors import NotFoundError, StoreError
from openmic.core.records import Split
from openmic.store import ExampleRow, Run, RunExample, Store, Turn

from .rows import dialogue, example, run, turn


def ids(rows: list[ExampleRow]) -> list[str]:
    return [row.id for row in rows]


def test_get(store: Store) -> None:
    store.add(RunExample(run_id="RUN1", example_id="e1", position=4, split=Split.TRAIN))
    found = store.get(RunExample, ("RUN1", "e1"))
    assert found is not None
    assert found.position == 4
    assert store.get(Run, "none") is None


def test_select_by_equality_lists_and_null(store: Store) -> None:
    store.add(example(id="e3"), example(id="e2", text="You are late"))
    assert ids(store.select(ExampleRow)) == ["e1", "e2", "e3"]
    assert ids(store.select(ExampleRow, text="You are late", id=["e1", "e2"])) == ["e2"]
    for number, (identity, split) in enumerate([("e1", Split.TRAIN), ("e2", Split.DEV), ("e3", Split.DEV)]):
        store.add(RunExample(run_id="RUN1", example_id=identity, position=number, split=split))
    in_dev = [row.example_id for row in store.select(RunExample, split=Split.DEV)]
    assert in_dev == [row.example_id for row in store.select(RunExample, split=Split.DEV)] == ["e2", "e3"]
    assert ids(store.select(ExampleRow, id=["e3", "e1", "none", "e3"])) == ["e1", "e3"]
    assert store.select(ExampleRow, id=[]) == []
    assert (
        store.count(ExampleRow, id=["e3", "e1", "e3"]),
        store.count(ExampleRow, id=[]),
        store.count(ExampleRow),
    ) == (2, 0, 3)
    assert len(store.select(Run, error=None)) == len(store.select(Run, error=[None, "x"])) == 1
    assert store.select(Run, error=["x"]) == []


def test_select_in_order(store: Store) -> None:
    store.add(dialogue(), turn(0, note="b"), turn(1), turn(2, note="a"), turn(3))
    assert [row.seq for row in store.select(Turn, order_by="note")] == [1, 3, 2, 0]
    assert [row.seq for row in store.select(Turn, order_by="-note")] == [0, 2, 3, 1]
    assert [row.seq for row in store.select(Turn, order_by="-seq", limit=2)] == [3, 2]


def test_text_is_ordered_by_its_code_points(store: Store) -> None:
    store.add(*(example(id=identity) for identity in ("b", "B", "a_", "Z", "a-b", "ä", "ab")))
    assert ids(store.select(ExampleRow)) == ["B", "Z", "a-b", "a_", "ab", "b", "e1", "ä"]
    assert ids(store.select(ExampleRow)) == sorted(ids(store.select(ExampleRow)))


def test_one_reading_sees_one_state(store: Store) -> None:
    with store._session() as session:
        counted = select(func.count()).select_from(ExampleRow)
        before = session.scalar(counted)
        store.add(example(id="e2"))
        assert session.scalar(counted) == before == 1
    assert store.count(ExampleRow) == 2


def test_a_list_too_long_for_one_statement(store: Store) -> None:
    store.add(dialogue(), turn(0), turn(39_999))
    wanted = [f"t{number}" for number in range(40_000)]
    assert [row.seq for row in store.select(Turn, id=wanted)] == [0, 39_999]
    assert store.count(Turn, id=wanted) == 2


def test_several_statements_answer_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(dialogue(), *(turn(seq, note=None if seq % 2 else "n", content="c") for seq in range(50)))
    monkeypatch.setattr("openmic.store.reading._IN_CHUNK", 7)
    wanted = [f"t{number}" for number in [*range(25, 60), *range(25)]]
    for order in (None, "seq", "-seq", "note", "-note"):
        assert store.select(Turn, id=wanted, order_by=order) == store.select(Turn, order_by=order)
        assert store.select(Turn, id=wanted, order_by=order, limit=9) == store.select(Turn, order_by=order, limit=9)
    assert store.count(Turn, id=wanted, dialogue_id=["d1", *wanted], note=["x", "y", None, *wanted]) == 25


def test_columns_that_do_not_exist_are_refused(store: Store) -> None:
    with pytest.raises(TypeError, match="Turn has no column 'sequence'"):
        store.select(Turn, sequence=1)
    with pytest.raises(TypeError, match="no column 'sequence'"):
        store.select(Turn, order_by="-sequence")
    with pytest.raises(TypeError, match="no column 'sequence'"):
        store.count(Turn, sequence=1)


def test_rows_of_any_statement(store: Store) -> None:
    assert [tuple(row) for row in store.rows(select(func.count(), func.max(Run.seed)))] == [(1, 7)]


def test_a_run_is_found_by_its_id_the_beginning_of_it_or_as_the_latest(store: Store) -> None:
    start = datetime.now(UTC)
    store.add(
        run(id="RUN2", name="second", created_at=start + timedelta(hours=2)),
        run(id="RUN22", created_at=start + timedelta(hours=1)),
        run(id="WALK", created_at=start - timedelta(hours=1)),
    )
    for name, found in (
        ("latest", "RUN2"),
        ("Latest", "RUN2"),
        ("RUN1", "RUN1"),
        ("wa", "WALK"),
        ("run22", "RUN22"),
        ("run2", "RUN2"),
    ):
        assert store.resolve_run(name).id == found
    with pytest.raises(NotFoundError, match=r"several runs.*RUN1 \(first\), RUN2 \(second\), RUN22"):
        store.resolve_run("run")
    for wrong in ("swim", "", "%", "RUN_", "RUN1x"):
        with pytest.raises(NotFoundError, match=r"no run goes by.*RUN2 \(second\).*WALK"):
            store.resolve_run(wrong)


def test_an_empty_store_says_so(address: str) -> None:
    with Store.open(address) as store, pytest.raises(NotFoundError, match="no run yet: `openmic run`"):
        store.resolve_run("latest")


def test_a_dialogue_is_found_in_one_run_or_in_all(store: Store) -> None:
    start = datetime.now(UTC)
    store.add(
        run(id="RUN2"),
        run(id="RUN3"),
        dialogue(id="abc1", started_at=start),
        dialogue(id="abd2", run_id="RUN2", started_at=start + timedelta(seconds=1)),
    )
    assert store.resolve_dialogue("latest").id == "abd2"
    assert store.resolve_dialogue("latest", run_id="RUN1").id == "abc1"
    assert store.resolve_dialogue("AB", run_id="RUN1").id == "abc1"
    with pytest.raises(NotFoundError, match=r"several dialogues.*abc1, abd2"):
        store.resolve_dialogue("ab")
    with pytest.raises(NotFoundError, match="no dialogue goes by 'abd'"):
        store.resolve_dialogue("abd", run_id="RUN1")
    with pytest.raises(NotFoundError, match="no dialogue yet"):
        store.resolve_dialogue("latest", run_id="RUN3")


def test_nothing_is_written_through_a_store_opened_for_reading(store: Store) -> None:
    with Store.open_readonly(store.address) as reader:
        assert (reader.url, reader.select(Run)) == (store.url, store.select(Run))
        writes: list[Callable[[], object]] = [
            lambda: reader.add(example(id="e2")),
            lambda: reader.update(Run, "RUN1", status="failed"),
        ]
        for write in writes:
            with pytest.raises(StoreError, match="for reading only"):
                write()
        with pytest.raises(StoreError, match=r"read-?only"):
            reader.rows(text("DELETE FROM example"))  # type: ignore[arg-type]  # no SELECT, on purpose
    assert store.count(ExampleRow) == 1
