"""A whole run whose trainer is killed in the middle of a training: it ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from openmic.store import Adapter, Dialogue, Preference, Store, Training, TrainingItem, TrainingMetric, Turn
from openmic.training.loop.checkpoints import FILE

from .whole_run import PATIENCE_S, WholeRun, clean_environment, whole_run, write_config

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
