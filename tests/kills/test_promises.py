"""That a broken promise is seen: whole runs, of one of which something is lost, doubled or changed."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.store import LLMCall, Store

from ..whole_run import WholeRun, finished_run
from .promises import broken

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tiny_causal: Path) -> WholeRun:
    return finished_run(tiny_causal)


def copied(run: WholeRun, folder: Path) -> WholeRun:
    shutil.copytree(run.home, folder / "openmic-data")
    return replace(run, folder=folder)


def test_a_run_keeps_all_promises_against_itself(run: WholeRun) -> None:
    assert broken(run, run) == ([], 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM turn WHERE kind = 'critique'", "turns: "),
        ("DELETE FROM preference WHERE source = 'candidates'", "preferences: "),
        ("UPDATE dialogue SET status = 'failed' WHERE stage = 'collect'", "dialogues: "),
        ("UPDATE adapter SET parent_version = 0", "versions: "),
        ("UPDATE training SET examples = examples + 1", "trainings: "),
        ("UPDATE evaluation SET status = 'running'", "evaluations: "),
    ],
)
def test_what_is_changed_is_told_by_its_place(run: WholeRun, tmp_path: Path, change: str, said: str) -> None:
    other = copied(run, tmp_path)
    with closing(sqlite3.connect(other.home / "openmic.db")) as store, store:
        store.create_function("openmic_words", 1, lambda text: text)  # the index of texts asks for it
        assert store.execute(change).rowcount
    wrong, _ = broken(other, run)
    assert wrong
    assert all(line.startswith(said) for line in wrong)


def test_a_reply_that_was_paid_twice_is_counted_and_one_that_is_lost_told(run: WholeRun, tmp_path: Path) -> None:
    other = copied(run, tmp_path)
    [log] = other.home.glob("runs/*/simulated-cast.jsonl")
    first, second, *_ = log.read_text(encoding="utf-8").splitlines(keepends=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(first)
    assert broken(other, run) == ([], 1)
    with log.open("a", encoding="utf-8") as file:
        file.write(second.replace('"request_hash": "', '"request_hash": "never-stored-'))
    wrong, _ = broken(other, run)
    with Store.open_readonly(run.store) as store:
        number = store.count(LLMCall)
    assert wrong == [f"{number + 1} requests were answered, and {number} replies are stored"]
