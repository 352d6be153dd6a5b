"""Whole runs whose trainer is killed, and whose database goes away, in the midst: they end as if nothing had been."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from openmic.store import Adapter, Dialogue, Preference, Store, Training, TrainingItem, TrainingMetric, Turn
from openmic.training.loop.checkpoints import FILE

from .kills.promises import broken
from .postgresql import PASSWORD, Server
from .whole_run import PATIENCE_S, WholeRun, clean_environment, openmic_here, whole_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL: dict[str, dict[str, Any]] = {
    "inputs": {"limit": 16},
    "imitation": {"inputs": 4},
    "dialogue": {"inputs": 4, "concurrency": 1},  # whose preferences come first decides the order of training
    "training": {"epochs": 12, "batch_size": 1, "save_steps": 2},
    "evaluation": {"dev_inputs": 2, "test_inputs": 2},
}


def trainers_of(driver: int) -> list[int]:
    """The process ids of the trainers that Ray runs for a driver."""
    found = []
    for child in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(word.startswith("ray::TrainerWorker") for word in child.cmdline()):
                found.append(child.pid)
    return found


def killed_run(config: Path) -> WholeRun:
    """A run whose trainer is killed as soon as there is a checkpoint of the first training on feedback."""
    command = [sys.executable, "-m", "openmic", "run", str(config), "--json"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=config.parent, env=clean_environment(), start_new_session=True, **streams)
    try:
        pattern = f"openmic-data/runs/*/adapters/checkpoints/v000002/{FILE}"
        deadline = time.monotonic() + PATIENCE_S
        while not list(config.parent.glob(pattern)):
            assert process.poll() is None, "\n".join(process.communicate())
            assert time.monotonic() < deadline
            time.sleep(0.01)
        trainers = trainers_of(process.pid)
        assert len(trainers) == 1
        os.kill(trainers[0], signal.SIGKILL)
        assert list(config.parent.glob(pattern)), "the training was over before its process could be killed"
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return WholeRun(config.parent, process.returncode, stdout, stderr, 0.0)


@pytest.fixture(scope="module")
def runs(ray_running: None, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[WholeRun, WholeRun]:
    """The one that was disturbed, and the one that was not."""
    folder = tmp_path_factory.mktemp("kill-trainer")
    killed = killed_run(write_config(folder / "killed", tiny_causal, **SMALL))
    return killed, whole_run(write_config(folder / "undisturbed", tiny_causal, **SMALL), here=True)


def said(run: WholeRun) -> list[tuple[Any, ...]]:
    """Every turn by its place, without what differs from run to run."""
    with Store.open_readonly(run.store) as store:
        dialogues = {row.id: row for row in store.select(Dialogue)}
        found = []
        for turn in store.select(Turn):
            one = dialogues[turn.dialogue_id]
            place = (one.stage.value, one.round, one.example_id, turn.seq)
            found.append((*place, turn.kind.value, turn.agent.value, turn.adapter_version or 0, turn.content))
    return sorted(found)


def test_the_run_finishes(runs: tuple[WholeRun, WholeRun]) -> None:
    for run in runs:
        assert run.code == 0, run.stderr
        assert run.status["status"] == "finished"
        assert [version["version"] for version in run.status["versions"]] == [0, 1, 2]


def test_turn_by_turn_it_is_the_run_that_was_not_disturbed(runs: tuple[WholeRun, WholeRun]) -> None:
    killed, undisturbed = map(said, runs)
    assert len(killed) > 20
    assert killed == undisturbed


def test_the_trainings_are_the_same_and_nothing_was_consumed_twice(runs: tuple[WholeRun, WholeRun]) -> None:
    curves = []
    for run in runs:
        with Store.open_readonly(run.store) as store:
            trainings = store.select(Training, order_by="adapter_version")
            consumed = Counter(item.preference_id for item in store.select(TrainingItem) if item.preference_id)
            assert set(consumed) == {row.id for row in store.select(Preference)}
            assert set(consumed.values()) == {1}
            assert [training.status for training in trainings] == ["finished", "finished"]
            assert store.count(Adapter) == 3
            metrics = store.select(TrainingMetric, training_id=trainings[1].id, order_by="step")
            curves.append([(row.step, row.values) for row in metrics])
    assert len(curves[0]) >= 30
    assert curves[0] == curves[1]


def test_no_checkpoint_is_left(runs: tuple[WholeRun, WholeRun]) -> None:
    for run in runs:
        [adapters] = run.home.glob("runs/*/adapters")
        assert sorted(path.name for path in adapters.iterdir()) == ["v000001", "v000002"]


@dataclass
class Outages:
    """Ends the server when dialogues are held and when a training goes on; it is back when something has come of it."""

    server: Server
    folder: Path
    over: threading.Event = field(default_factory=threading.Event)
    happened: list[str] = field(default_factory=list)

    def carry_out(self) -> None:
        """In a thread of its own."""
        adapters = "openmic-data/runs/*/adapters"
        revised = "SELECT count(*) FROM turn WHERE seq > 1"
        self._outage("dialogues", lambda: int(self.server.sql(revised, "restarted")) > 3, lambda: True)
        self._outage(
            "training",
            lambda: list(self.folder.glob(f"{adapters}/checkpoints/v000002/{FILE}")),
            lambda: list(self.folder.glob(f"{adapters}/v000002")),
        )

    def _outage(self, name: str, begins: Callable[[], object], ends: Callable[[], object]) -> None:
        if not self._reached(begins):
            return
        self.server.stop()
        ended = self._reached(ends)
        self.over.wait(1.5)
        self.server.start()
        with Store.open_readonly(self.server.url("restarted")) as store:
            run = store.resolve_run("latest")
            if ended and self._reached(lambda: store.held_on_server(f"run {run.id}")):
                self.happened.append(name)

    def _reached(self, reached: Callable[[], object]) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while not self.over.wait(0.02) and time.monotonic() < deadline:
            if reached():
                return True
        return False


def test_a_run_waits_for_its_database_server_and_asks_and_trains_nothing_twice(
    server: Server, runs: tuple[WholeRun, WholeRun], tiny_causal: Path, tmp_path: Path
) -> None:
    server.sql("CREATE DATABASE restarted")
    Store.open(server.url("restarted")).close()
    config = write_config(tmp_path, tiny_causal, **SMALL)
    outages = Outages(server, tmp_path)
    thread = threading.Thread(target=outages.carry_out)
    thread.start()
    try:
        of = ("run", str(config), "--json", "--set", f"store={server.url('restarted', None)}")
        done = openmic_here(*of, cwd=tmp_path, PGPASSWORD=PASSWORD)
    finally:
        outages.over.set()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert outages.happened == ["dialogues", "training"]
    run = WholeRun(tmp_path, done.returncode, done.stdout, done.stderr, 0.0, server.url("restarted"))
    assert broken(run, runs[1]) == ([], 0)
