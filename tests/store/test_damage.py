"""Files that were damaged, sealed, or written by another version: one line each, and nothing silently wrong."""

import json
import os
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openmic.core.config import saved_config, saved_section
from openmic.core.errors import ConfigError, OpenmicError, StoreError, StoreFaultError, told_of_disk
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.core.training_settings import TrainingSettings
from openmic.store import Run, Store, overview
from openmic.store.admin.verify import Fault, verify

from .rows import dialogue, example, run, turn

REQUEST = LLMRequest("critic", "m", (Message(role="user", content="A kettle."),), Sampling(), 7)
LOOKS: list[Callable[[Store], object]] = [
    lambda store: overview(store, store.resolve_run("RUN1")),
    lambda store: store.dialogues("RUN1"),
    lambda store: store.saved_reply("RUN1", REQUEST.key),
    lambda store: list(verify(store)),
]


@pytest.fixture
def written(path: Path) -> Path:
    """A store's file, closed, with a run, some turns and a reply."""
    with Store.open(str(path)) as store:
        store.add(run(), example(), dialogue(), *(turn(seq, content="word " * 200) for seq in range(60)))
        store.save_reply("RUN1", REQUEST, LLMReply(text="1", model="m"))
    return path


def faults(store: Store) -> list[Fault]:
    """Save that the one input of these tests goes by no hash."""
    return [fault for fault in verify(store) if fault.row != "example e1"]


def damage(path: Path, statement: str) -> None:
    """Do what nobody does who does not mean it."""
    with closing(sqlite3.connect(path)) as raw, raw:
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(statement)


@pytest.mark.parametrize("left", [100, 60_000])
def test_a_file_that_was_cut_off_is_told_and_left_as_it_is(written: Path, left: int) -> None:
    os.truncate(written, left)
    before = written.read_bytes()
    for open_it in (Store.open_readonly, Store.open):
        with pytest.raises(StoreError, match="damaged: restore it from a backup"):
            open_it(str(written)).close()
    assert written.read_bytes() == before


@pytest.mark.parametrize("page", [2, 40])
def test_garbage_within_a_file_ends_in_one_line_whatever_is_looked_at(written: Path, page: int) -> None:
    pages = written.stat().st_size // 4096
    with written.open("r+b") as file:
        file.seek(4096 * page)
        file.write(os.urandom(4096 * (pages - page)))

    def look_at_all() -> None:
        with Store.open_readonly(str(written)) as store:
            for look in LOOKS[:2]:
                look(store)

    with pytest.raises(StoreError, match="damaged: restore it from a backup"):
        look_at_all()


def test_a_file_that_was_emptied_is_no_store(written: Path) -> None:
    os.truncate(written, 0)
    with pytest.raises(StoreError, match="is not an openmic store"):
        Store.open_readonly(str(written))


def test_a_log_of_garbage_takes_nothing_along_that_was_in_the_file(written: Path) -> None:
    written.with_name(f"{written.name}-wal").write_bytes(os.urandom(50_000))
    with Store.open(str(written)) as store:
        assert store.saved_reply("RUN1", REQUEST.key) == LLMReply(text="1", model="m")
        assert not faults(store)


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE run SET config = '{no'", "run"),
        ("UPDATE run SET created_at = 'yesterday'", "run"),
        ("UPDATE turn SET kind = 'haiku'", "content"),
        ("UPDATE llm_call SET reply = '{\"text\": '", "request"),
        ("UPDATE llm_call SET reply = '[]'", "reply"),
        ("UPDATE llm_call SET reply = '{\"text\": 7}'", "reply"),
    ],
)
def test_a_value_that_is_not_what_was_written_is_told_by_all_and_found_by_verify(
    written: Path, statement: str, check: str
) -> None:
    damage(written, statement)
    told = []
    with Store.open_readonly(str(written)) as store:
        for look in LOOKS[:3]:
            try:
                look(store)
            except OpenmicError as error:
                told.append(error)
        assert told
        assert all(isinstance(error, StoreFaultError) and "see `openmic db verify`" in str(error) for error in told)
        assert check in {fault.check for fault in verify(store)}


def test_a_configuration_of_another_version_is_looked_at_and_not_worked_with(written: Path) -> None:
    with closing(sqlite3.connect(written)) as raw, raw:
        newer = {"preferences": {"novel": 1}, "training": {"epochs": 3, "novel": True}, "student": {"model": "m"}}
        raw.execute("UPDATE run SET config = ?", [json.dumps(newer)])
    with Store.open_readonly(str(written)) as store:
        row = store.resolve_run("RUN1")
        assert overview(store, row)["turns"] == 60
        assert saved_section(row, "training", TrainingSettings).epochs == 3
        with pytest.raises(ConfigError, match=r"run RUN1 cannot be understood \(.*: use the version of openmic"):
            saved_config(row)
        assert not faults(store)


@pytest.mark.parametrize("values", [{"training": {"epochs": "many"}}, {"training": 7}])
def test_values_that_nobody_understands_are_told(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="restore the store from a backup"):
        saved_section(run(config=values), "training", TrainingSettings)


@pytest.fixture
def sealed(written: Path) -> Iterator[Path]:
    """The same file on a disk that takes no writes."""
    folder = written.parent
    if os.getuid() == 0:
        mounted = subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True).returncode == 0
        if not mounted:
            pytest.skip("mounts are not permitted here")
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    else:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        yield written
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", folder], check=True)
        else:
            folder.chmod(stat.S_IRWXU)


def test_a_run_whose_folder_takes_no_files_is_not_told_of_a_full_disk(sealed: Path, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "elsewhere" / "store.db")) as store:
        store._folder = sealed.parent  # the store's own disk
        with pytest.raises(OSError, match="reserve") as refused, store.room_for_last_words(sealed.parent):
            pytest.fail("it began")
    assert "make it writable" in str(told_of_disk(refused.value))


def test_a_store_on_a_disk_that_takes_no_writes_is_read_and_not_written(sealed: Path) -> None:
    with Store.open_readonly(str(sealed)) as store:
        assert store.count(Run) == 1
        assert not faults(store)
    with pytest.raises(StoreError, match=r"cannot be written|is read-only") as refused:
        Store.open(str(sealed))
    assert refused.value.exit_code == 2
