import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import event, func, select

from openmic.core.errors import ConfigError, NotFoundError, StoreError, StoreFaultError
from openmic.store import (
    Dialogue,
    ExampleRow,
    ExperimentRow,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Store,
    Turn,
)
from openmic.store.admin.backup import back_up
from openmic.store.admin.prune import belonging, compact, left_behind, prunable, prune
from openmic.store.admin.verify import verify
from openmic.store.dialects.postgresql import lock_key
from openmic.store.dialects.sqlite import vacuum
from openmic.store.liveness import held_experiment, held_run, in_use
from openmic.store.places import claim
from openmic.store.schema import TableModel
from openmic.store.search.search import search

from ...in_hand import in_hand
from ...postgresql import Server
from ...waiting import wait_until
from ..rows import dialogue, everything, example, run, training, turn

NOW = datetime.now(UTC)


def other_run(store: Store) -> None:
    """A run that shares an input and a prompt with the first one."""
    store.add(
        PromptRow(hash="n", messages=[]),
        run(id="OTHER", status="finished"),
        dialogue(id="o1", run_id="OTHER", final_turn_id="o2"),
        turn(
            0, id="o2", run_id="OTHER", dialogue_id="o1", template_hash="h", prompt_hash="n", content="the other joke"
        ),
    )


def test_a_run_goes_with_all_that_is_its_own_and_nothing_else(store: Store) -> None:
    store.add(*everything(), example(id="e2", text="nobody uses it"))
    other_run(store)
    store.update(Run, "RUN1", status="finished", experiment="mine")
    store.add(ExperimentRow(id="E2", name="has no run yet", spec={"seeds": [1]}))
    expected = belonging(store, ["RUN1", "RUN9"])
    done = prune(store, [store.resolve_run("RUN1"), store.resolve_run("RUN9")], given=True)
    assert done.runs == ["RUN1", "RUN9"]
    assert done.rows == {**expected, "example": 1, "prompt": 1, "experiment": 1}
    assert expected["turn"] == 5
    left = {table.__name__ for table in (Run, Dialogue, Turn, ExampleRow, PromptTemplateRow) if store.count(table) == 1}
    assert left == {"Run", "Dialogue", "Turn", "ExampleRow", "PromptTemplateRow"}
    with store.engine.connect() as connection:
        rows = {t.name: len(connection.execute(t.select()).all()) for t in TableModel.metadata.sorted_tables}
    assert {name for name, number in rows.items() if number} == {
        "run",
        "dialogue",
        "turn",
        "example",
        "prompt",
        "prompt_template",
        "experiment",
    }
    compact(store)
    assert [hit.turn.id for hit in search(store, "joke")] == ["o2"]
    assert search(store, "text") == []
    store.add(turn(1, id="o3", run_id="OTHER", dialogue_id="o1", content="a later joke"))
    assert {hit.turn.id for hit in search(store, "joke")} == {"o2", "o3"}


def test_what_others_refer_to_is_not_deleted(store: Store) -> None:
    store.add(dialogue(), turn(0), run(id="RUN2"))
    store.add(dialogue(id="d2", run_id="RUN2", final_turn_id="t0"))
    with pytest.raises(StoreError, match=r"(?i)refer|foreign key"):
        prune(store, [store.resolve_run("RUN1")])
    assert (store.count(Run), store.count(Turn)) == (2, 1)


def test_deleting_makes_the_file_smaller(sqlite_store: Store, path: Path) -> None:
    sqlite_store.add(dialogue(), *(turn(seq, content="words " * 1000) for seq in range(200)))
    sqlite_store.close()  # which brings the write-ahead log into the file
    before = path.stat().st_size
    prune(sqlite_store, [sqlite_store.resolve_run("RUN1")])
    compact(sqlite_store)
    sqlite_store.close()  # which brings the write-ahead log into the file
    assert path.stat().st_size < before / 2
    assert (sqlite_store.count(ExampleRow), sqlite_store.count(RunExample)) == (0, 0)


KILLED = """
import os, sys
from openmic.store import Store
from openmic.store.admin import word_index
from openmic.store.admin.prune import compact, prune
word_index.index_again = lambda connection: os._exit(9)
with Store.open(sys.argv[1]) as store:
    prune(store, [store.resolve_run("RUN1")])
    compact(store)
"""


def test_words_are_found_though_a_process_died_as_it_made_the_file_smaller(sqlite_store: Store, path: Path) -> None:
    store = sqlite_store
    store.add(dialogue(), *(turn(seq, content=f"word{seq}") for seq in range(20)))
    store.add(run(id="OTHER", status="finished"), dialogue(id="o1", run_id="OTHER"))
    store.add(*(turn(seq, id=f"n{seq}", run_id="OTHER", dialogue_id="o1", content=f"word{seq}") for seq in range(1, 9)))
    store.close()
    done = subprocess.run([sys.executable, "-W", "error", "-c", KILLED, str(path)], check=False)
    assert done.returncode == 9
    with Store.open_readonly(str(path)) as left:
        assert [fault.check for fault in verify(left) if fault.check == "words"] == ["words"]
    with Store.open(str(path)) as again:  # which makes the index anew
        assert "words" not in {fault.check for fault in verify(again)}
        for seq in range(1, 9):
            assert [hit.turn.id for hit in search(again, f"word{seq}")] == [f"n{seq}"]
        assert search(again, "word15") == []


def test_a_file_that_could_not_be_made_smaller_keeps_its_index(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        assert "words" in {fault.check for fault in verify(sqlite_store)}
        raise StoreFaultError("there is no room")

    monkeypatch.setattr("openmic.store.admin.prune.vacuum", refused)
    with pytest.raises(StoreFaultError, match="no room"):
        compact(sqlite_store)
    assert "words" not in {fault.check for fault in verify(sqlite_store)}


def test_one_process_compacts_and_nobody_mends_the_index_under_it(
    sqlite_store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(connection: Any) -> None:
        with Store.open(str(path)) as other:  # which neither waits nor takes the mark away
            assert "words" in {fault.check for fault in verify(other)}
            with pytest.raises(StoreFaultError, match="is being compacted by another process"):
                compact(other)
        vacuum(connection)

    monkeypatch.setattr("openmic.store.admin.prune.vacuum", meanwhile)
    compact(sqlite_store)
    assert "words" not in {fault.check for fault in verify(sqlite_store)}


def ids(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]


def test_which_runs_are_old(store: Store, tmp_path: Path) -> None:
    store.update(Run, "RUN1", status="finished", created_at=NOW - timedelta(days=40))
    store.add(
        run(id="RUN2", status="failed", created_at=NOW - timedelta(days=30)),
        run(id="RUN3", status="running", home=str(tmp_path / "RUN3"), created_at=NOW - timedelta(days=20)),
        run(id="RUN4", status="finished", created_at=NOW - timedelta(days=10)),
        run(id="RUN5", status="finished", kind="train", source_run_id="RUN2", created_at=NOW),
    )
    with in_hand(store, "RUN3"):
        # RUN5 works on RUN2's transcripts, and stays.
        assert ids(prunable(store, keep=1)) == ["RUN4", "RUN1"]
        assert ids(prunable(store, keep=0)) == ["RUN5", "RUN4", "RUN2", "RUN1"]
        assert ids(prunable(store, before=NOW - timedelta(days=15))) == ["RUN1"]
        assert ids(prunable(store, before=NOW, keep=4)) == ["RUN1"]
        named = {name: store.resolve_run(name) for name in ("RUN2", "RUN3", "RUN5")}
        assert ids(prunable(store, [named["RUN2"], named["RUN5"]])) == ["RUN5", "RUN2"]
        with pytest.raises(ConfigError, match="RUN3 is going on"):
            prunable(store, [named["RUN3"]])
        with pytest.raises(ConfigError, match="RUN5 works with what run RUN2 made"):
            prunable(store, [named["RUN2"]])
    # One that was killed still says that it is running, but nobody has it in hand.
    assert ids(prunable(store, [named["RUN3"]])) == ["RUN3"]
    assert ids(prunable(store, before=NOW - timedelta(days=15))) == ["RUN3", "RUN1"]


def test_a_run_whose_adapters_others_took_over_stays_with_them(store: Store) -> None:
    store.update(Run, "RUN1", status="finished", created_at=NOW - timedelta(days=40))
    store.add(
        run(id="RUN2", status="finished", experiment="mine", created_at=NOW - timedelta(days=30)),
        run(id="RUN3", status="finished", experiment="mine", created_at=NOW),
        training(id="own", run_id="RUN2", metrics={"final_loss": 0.5}),
        training(id="taken", run_id="RUN3", metrics={"taken_from": "RUN2", "left_out_items": ["é"]}),
    )
    assert ids(prunable(store, keep=1)) == ["RUN1"]
    assert ids(prunable(store, keep=0)) == ["RUN3", "RUN2", "RUN1"]
    named = {name: store.resolve_run(name) for name in ("RUN1", "RUN2", "RUN3")}
    with pytest.raises(ConfigError, match="RUN3 works with what run RUN2 made: name both"):
        prunable(store, [named["RUN1"], named["RUN2"]])
    assert ids(prunable(store, [named["RUN3"]])) == ["RUN3"]
    assert ids(prunable(store, [named["RUN2"], named["RUN3"]])) == ["RUN3", "RUN2"]


@pytest.fixture
def two(store: Store, tmp_path: Path) -> tuple[Run, Run]:
    """Two runs that ended, with folders of their own."""
    store.update(Run, "RUN1", status="finished", home=str(tmp_path / "RUN1"), created_at=NOW - timedelta(days=40))
    store.add(run(id="RUN2", status="failed", home=str(tmp_path / "RUN2"), experiment="mine"))
    for name in ("RUN1", "RUN2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter").write_text("a" * 100)
        claim(store.url, tmp_path / name)
    return store.resolve_run("RUN1"), store.resolve_run("RUN2")


def test_a_run_that_was_taken_up_since_it_was_chosen_stays(store: Store, two: tuple[Run, Run], tmp_path: Path) -> None:
    with Store.open(store.address) as other, in_hand(other, "RUN1"):
        with pytest.raises(ConfigError, match="another process is carrying out run RUN1"):
            prune(store, two, given=True, files=True)
        assert store.count(Run) == 2
        done = prune(store, two, files=True)
    assert (done.runs, len(done.left), done.faults) == (["RUN2"], 1, [])
    assert "is carrying out run RUN1" in done.left[0]
    assert [path.name for path in tmp_path.glob("RUN*")] == ["RUN1"]
    again = prune(store, two, files=True)
    assert (again.runs, again.left) == (["RUN1"], ["run RUN2 is gone already"])
    assert list(tmp_path.glob("RUN*")) == []


def test_a_run_that_is_served_or_talked_to_stays(store: Store, two: tuple[Run, Run], tmp_path: Path) -> None:
    with Store.open_readonly(store.address) as other, in_use(other, two[0]), in_use(other, two[0]):
        assert ids(prunable(store, keep=0)) == ["RUN2"]
        with pytest.raises(ConfigError, match="RUN1 is served, talked to, exported or taken up by another process"):
            prunable(store, two)
        with pytest.raises(ConfigError, match="RUN1 is served"):
            prune(store, two, given=True, files=True)
        done = prune(store, two, files=True)
        with in_hand(store, "RUN1"):  # which keeps nobody from carrying it out
            pass
    assert (done.runs, [line[:18] for line in done.left]) == (["RUN2"], ["run RUN1 is served"])
    assert [path.name for path in (tmp_path / "RUN1").glob("used*")] == []
    (tmp_path / "RUN1" / "used-by-one-that-was-killed.lock").touch()
    assert prune(store, two[:1], given=True).runs == ["RUN1"]


@contextmanager
def while_turns_are_deleted(store: Store, act: Callable[[], None]) -> Iterator[None]:
    """Do something in the middle of deleting; it has to come to that."""
    seen: list[str] = []

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM turn "):
            seen.append(statement)
            act()

    event.listen(store.engine, "before_cursor_execute", meanwhile)
    try:
        yield
    finally:
        event.remove(store.engine, "before_cursor_execute", meanwhile)
    assert seen


@pytest.mark.parametrize("why", ["used", "needed", "its experiment goes on"])
def test_what_stays_can_be_read_and_gone_on_with_while_the_rest_is_deleted(
    store: Store, two: tuple[Run, Run], why: str
) -> None:
    store.update(Run, "RUN1", experiment="theirs", seed=1)
    store.add(ExperimentRow(id="E1", name="theirs", spec={"seeds": [1, 2, 3]}))
    if why == "needed":
        store.add(run(id="RUN3", status="finished", kind="train", source_run_id="RUN1"))
    chosen = [store.resolve_run(one.id) for one in two]
    with ExitStack() as stack:
        other = stack.enter_context(Store.open(store.address))
        if why == "used":
            stack.enter_context(in_use(other, chosen[0]))
        if why == "its experiment goes on":
            stack.enter_context(held_experiment(other, "theirs", [3]))

        def go_on() -> None:
            with in_use(other, chosen[0]), in_hand(other, "RUN1"), held_experiment(other, "theirs", [1, 2]):
                pass

        stack.enter_context(while_turns_are_deleted(store, go_on))
        done = prune(store, chosen)
    assert (done.runs, len(done.left)) == (["RUN2"], 1)


def test_what_was_made_by_a_run_without_a_folder_can_be_read(
    store: Store, two: tuple[Run, Run], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "RUN1")
    with in_use(store, two[0]):
        assert not (tmp_path / "RUN1").exists()


def test_a_run_whose_experiment_goes_on_stays(store: Store, two: tuple[Run, Run]) -> None:
    with Store.open(store.address) as other, held_experiment(other, "mine", [two[1].seed]):
        done = prune(store, two)
        with pytest.raises(ConfigError, match="another process is carrying out experiment 'mine'"):
            prune(store, two[1:], given=True)
    assert done.runs == ["RUN1"]
    assert "is carrying out experiment 'mine' with seed" in done.left[0]
    # Another seed's runs take over what this one's were told, and its experiment's row is of all.
    store.add(ExperimentRow(id="E1", name="mine", spec={"seeds": [two[1].seed, two[1].seed + 1]}))
    going_on = pytest.raises(ConfigError, match="another process is carrying out experiment 'mine'")
    with Store.open(store.address) as other, held_experiment(other, "mine", [two[1].seed + 1]), going_on:
        prune(store, two[1:], given=True)
    assert store.count(ExperimentRow) == 1
    assert prune(store, two[1:], given=True).runs == ["RUN2"]
    assert store.count(ExperimentRow) == 0


def test_nobody_begins_to_read_what_is_being_deleted(store: Store, two: tuple[Run, Run], tmp_path: Path) -> None:
    def begin_to_read() -> None:
        with pytest.raises(NotFoundError, match="run RUN1 is being pruned"):
            in_use(store, two[0]).__enter__()

    with while_turns_are_deleted(store, begin_to_read):
        assert prune(store, two[:1], given=True).runs == ["RUN1"]
    (tmp_path / "RUN2" / "pruned").touch()  # by one that was killed
    with in_use(store, two[1]):
        pass
    with in_hand(store, "RUN2"), in_use(store, two[1]):
        pass


def test_a_run_that_another_began_to_need_since_it_was_chosen_stays(store: Store, two: tuple[Run, Run]) -> None:
    store.add(run(id="RUN3", status="finished", kind="train", source_run_id="RUN1"))
    with pytest.raises(ConfigError, match="RUN3 works with what run RUN1 made"):
        prune(store, two, given=True)
    done = prune(store, two)
    assert (done.runs, done.left) == (["RUN2"], ["run RUN1 stays: another run works with what it made"])


def test_nobody_takes_a_run_up_while_it_is_deleted(store: Store, two: tuple[Run, Run]) -> None:
    def take_up() -> None:
        with pytest.raises(ConfigError, match="another process is carrying out run RUN1"):
            in_hand(store, "RUN1").__enter__()

    with while_turns_are_deleted(store, take_up):
        assert set(prune(store, two).runs) == {"RUN1", "RUN2"}


def test_more_runs_than_may_be_held_at_once_are_refused(
    store: Store, two: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.store.admin.prune._OPEN_ANYWAY", 10**12)
    with pytest.raises(ConfigError, match=r"^3 locks are to be held at once, .* files open: raise that \(`ulimit -n`"):
        prune(store, two)
    assert store.count(Run) == 2


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_lock_that_cannot_be_looked_at_deletes_nothing(
    store: Store, two: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.store.admin.prune._allow_open_files", lambda _: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest number that a file could have
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(StoreFaultError, match=r"going on cannot be seen: .*Too many open files"):
            prune(store, two)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert store.count(Run) == 2


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_what_another_process_took_up_while_the_server_was_gone_is_not_deleted(
    store: Store, two: tuple[Run, Run], server: Server
) -> None:
    locks = "FROM pg_locks WHERE locktype = 'advisory'"
    with ThreadPoolExecutor(1) as thread, store.engine.connect() as other:

        def take_up(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("DELETE FROM turn "):  # in the moment before the hold is looked after again
                taking = thread.submit(other.execute, select(func.pg_advisory_lock(lock_key("run RUN1"))))
                wait_until(lambda: server.sql(f"SELECT count(*) {locks} AND NOT granted") == "1")
                server.sql(f"SELECT pg_terminate_backend(pid) {locks} AND granted")
                taking.result()

        event.listen(store.engine, "before_cursor_execute", take_up)
        try:
            with pytest.raises(StoreFaultError, match="another process took run RUN1 up"):
                prune(store, two)
        finally:
            event.remove(store.engine, "before_cursor_execute", take_up)
        other.rollback()
        other.execute(select(func.pg_advisory_unlock_all()))
    assert store.count(Run) == 2


def test_a_folder_that_was_left_behind_goes_with_the_next(
    store: Store, two: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    store.add(run(id="RUN3", status="finished", home=str(tmp_path / "RUN3")))  # whose folder is beside the others'
    for name in ("RUN3", "RUN4"):
        (tmp_path / name).mkdir()
    (tmp_path / "RUN3" / "pruned").touch()
    with monkeypatch.context() as patch:
        patch.setattr("openmic.store.admin.prune.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prune(store, two, files=True)
    assert left_behind(store) == [tmp_path / ".RUN1.deleted", tmp_path / "RUN2"]
    with FileLock(tmp_path / "RUN2" / "lock"):  # another process is at it
        assert left_behind(store) == [tmp_path / ".RUN1.deleted"]
    assert prune(store, [], files=True).folders == [str(tmp_path / ".RUN1.deleted"), str(tmp_path / "RUN2")]
    assert sorted(path.name for path in tmp_path.glob("*RUN*")) == ["RUN3", "RUN4"]


@pytest.mark.parametrize("said", [None, "", "\0\0\0"])
def test_a_folder_that_says_nothing_of_whose_it_is_stays_unless_it_lies_where_the_stores_do(
    store: Store, two: tuple[Run, Run], tmp_path: Path, said: str | None
) -> None:
    if said is None:
        (tmp_path / "RUN1" / "store").unlink()
    else:
        (tmp_path / "RUN1" / "store").write_text(said)
    done = prune(store, two, files=True)
    assert (done.runs, done.folders) == (["RUN1", "RUN2"], [str(tmp_path / "RUN2")])
    [why] = done.faults
    assert why == f"the folder '{tmp_path}/RUN1' stays: nothing in it says whose it is; delete it yourself"
    assert (tmp_path / "RUN1" / "adapter").exists()
    if store.dialect == "sqlite":
        beside = Path(store.located("runs/RUN5"))
        beside.mkdir(parents=True)
        store.add(run(id="RUN5", status="finished", home="runs/RUN5"))
        assert prune(store, [store.resolve_run("RUN5")], files=True).folders == [str(beside)]


def test_what_is_deleted_of_a_copy_leaves_the_folders_of_the_original(tmp_path: Path) -> None:
    original, beside = tmp_path / "openmic.db", tmp_path / "backup.db"
    with Store.open(str(original)) as store:
        store.add(run(status="interrupted", home="runs/RUN1"))
        with held_run(store, store.resolve_run("RUN1")):
            (tmp_path / "runs" / "RUN1" / "adapter").write_text("a")
    back_up(str(original), beside)
    with Store.open(str(beside)) as copied:
        here = copied.resolve_run("RUN1")
        with pytest.raises(ConfigError, match=r"belongs to the store .*openmic\.db', of which this one is a copy"):
            held_run(copied, here).__enter__()
        done = prune(copied, [here], files=True)
        assert (done.runs, done.folders) == (["RUN1"], [])
        assert f"stays: it belongs to the store '{original}'" in done.faults[0]
    # A store under another name, or in another place with its folders, is the same store.
    moved = tmp_path / "moved"
    moved.mkdir()
    original.rename(moved / "renamed.db")
    (tmp_path / "runs").rename(moved / "runs")
    with Store.open(str(moved / "renamed.db")) as store:
        with held_run(store, store.resolve_run("RUN1")):
            assert (moved / "runs" / "RUN1" / "store").read_text() == "../../renamed.db"
        assert prune(store, [store.resolve_run("RUN1")], files=True).folders == [str(moved / "runs" / "RUN1")]


def test_a_folder_that_cannot_be_deleted_is_told(store: Store, two: tuple[Run, Run], tmp_path: Path) -> None:
    (tmp_path / "RUN1").rename(tmp_path / "elsewhere")
    (tmp_path / "RUN1").symlink_to(tmp_path / "elsewhere")
    done = prune(store, two, files=True)
    assert (done.runs, done.folders) == (["RUN1", "RUN2"], [str(tmp_path / "RUN2")])
    assert len(done.faults) == 1
    assert f"{tmp_path}/RUN1" in done.faults[0]
    assert store.count(Run) == 0
