"""Whole runs whose dialogues several workers hold: one is killed, and a run that trains meanwhile loses nothing."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from openmic.core.config_file import load_config
from openmic.core.ids import new_id
from openmic.core.records import Agent
from openmic.graph.context.progress import Silent
from openmic.graph.preflight.checks import check
from openmic.graph.runs.start import start_run
from openmic.store import Dialogue, LLMCall, Preference, Store, Training, TrainingItem, Turn
from openmic.store.trainable import lag, promoted_versions

from .kills.promises import broken
from .whole_run import PATIENCE_S, WholeRun, clean_environment, finished_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def kill_a_worker(driver: "subprocess.Popen[bytes]", store: Path) -> bool:
    """Kill a worker once dialogues are under way; whether there was one to kill."""
    while driver.poll() is None:
        time.sleep(0.05)
        with (
            suppress(sqlite3.Error, psutil.NoSuchProcess),
            closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db,
        ):
            [said] = db.execute("SELECT count(*) FROM turn WHERE kind = 'verdict'").fetchone()
            below: list[psutil.Process] = psutil.Process(driver.pid).children(recursive=True)
            workers = [one for one in below if "ray::DialogueWorker" in " ".join(one.cmdline())]
            if said and workers:
                workers[0].kill()
                return True
    return False


def test_a_run_one_of_whose_two_workers_is_killed_is_that_of_one_driver(tiny_causal: Path, tmp_path: Path) -> None:
    # Replies that take half a second leave time for a kill, and change nothing that is said.
    config = write_config(tmp_path, tiny_causal, dialogue={"workers": 2}, cast={"simulated": {"latency_s": 0.5}})
    out, err = tmp_path / "stdout", tmp_path / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        driver = subprocess.Popen(
            [sys.executable, "-m", "openmic", "run", str(config), "--json"],
            cwd=tmp_path,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        killed = kill_a_worker(driver, tmp_path / "openmic-data" / "openmic.db")
        code = driver.wait(timeout=PATIENCE_S)
    told = err.read_text(encoding="utf-8")
    assert code == 0, told
    assert killed
    assert "ended" in told
    assert "dialogues go to others" in told
    assert "Traceback" not in told
    run = WholeRun(tmp_path, code, out.read_text(encoding="utf-8"), told, 0.0)
    wrong, _ = broken(run, finished_run(tiny_causal))
    assert wrong == []


def test_a_run_that_trains_meanwhile_with_two_students_and_two_workers_loses_and_doubles_nothing(
    ray_running: None, tiny_causal: Path, tmp_path: Path
) -> None:
    path = write_config(
        tmp_path,
        tiny_causal,
        student={"pool": {"actors": 2, "cpus_per_actor": 0.5}},
        training={
            "train_every": 3,
            "overlap": "always",
            "max_staleness": 1,
            "threads": 1,
            "max_length": 1024,
        },
        dialogue={"inputs": 16, "concurrency": 6, "workers": 2, "cpus_per_worker": 0, "max_revisions": 0},
        evaluation={"test_inputs": 2, "rollback_margin": 1.0, "diversity_floor": 0.0},
    )
    config = load_config(path, [f"home={tmp_path / 'home'}"], environment={})
    run = start_run(new_id(), config, check(config), [], Silent())
    with Store.open_readonly(config.store_url) as store:
        turns = {turn.id: turn for turn in store.select(Turn, run_id=run.id)}
        dialogues = store.select(Dialogue, run_id=run.id, stage="collect")
        items = store.select(TrainingItem, run_id=run.id)
        preferences = {row.id: row for row in store.select(Preference, run_id=run.id)}
        trainings = {row.id: row for row in store.select(Training, run_id=run.id, stage="round")}
        promoted = promoted_versions(store, run.id)
        calls = store.count(LLMCall, run_id=run.id)
    assert run.status == "finished"
    assert {row.status for row in dialogues} == {"finished"}
    assert len(dialogues) == 16
    for dialogue in dialogues:
        seqs = sorted(turn.seq for turn in turns.values() if turn.dialogue_id == dialogue.id)
        assert seqs == list(range(len(seqs))), "no turn is lost or doubled"
    assert len({turn.worker for turn in turns.values() if turn.agent is Agent.STUDENT}) == 2, "both students spoke"
    assert len(trainings) >= 2
    learned = [item for item in items if item.preference_id is not None]
    assert len({item.preference_id for item in learned}) == len(learned), "none is learned from twice"
    for item in learned:
        preference, learning = preferences[item.preference_id or ""], trainings[item.training_id]
        for turn_id in (preference.chosen_turn_id, preference.rejected_turn_id):
            if (version := turns[turn_id].adapter_version) is not None:
                assert lag(version, learning.parent_version, promoted) <= 1
    [log] = tmp_path.glob("home/runs/*/simulated-cast.jsonl")
    assert len(log.read_text(encoding="utf-8").splitlines()) == calls, "nothing is asked twice"
