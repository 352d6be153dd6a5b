"""A run's status as it is: what says `running` is believed only while somebody has the run in hand."""

import os
from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.store import Run, Store
from openmic.store.liveness import held_experiment, live_status

from ..in_hand import in_hand


def test_a_run_is_running_while_it_is_in_hand_and_not_longer(store: Store, tmp_path: Path) -> None:
    store.update(Run, "RUN1", status="running", home=str(tmp_path))
    assert live_status(store, store.resolve_run("RUN1")) == "died"
    with in_hand(store, "RUN1"):
        assert live_status(store, store.resolve_run("RUN1")) == "running"
    assert live_status(store, store.resolve_run("RUN1")) == "died"


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted"])
def test_a_run_that_told_its_end_is_believed(store: Store, status: str) -> None:
    store.update(Run, "RUN1", status=status)
    assert live_status(store, store.resolve_run("RUN1")) == status


def test_whoever_only_looks_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.update(Run, "RUN1", status="running", home=str(tmp_path / "gone"))
    assert live_status(store, store.resolve_run("RUN1")) == "died"
    assert not (tmp_path / "gone").exists()


def test_whoever_holds_a_run_is_named(store: Store, tmp_path: Path) -> None:
    store.update(Run, "RUN1", home=str(tmp_path))
    with Store.open(store.address) as other, in_hand(store, "RUN1"):
        with pytest.raises(ConfigError, match=rf"carrying out run RUN1 \(process {os.getpid()} on .+\); wait for it"):
            in_hand(other, "RUN1").__enter__()
        (tmp_path / "lock.holder").unlink(missing_ok=True)  # what is gone by the time it is read names nobody
        with pytest.raises(ConfigError, match="another process is carrying out run RUN1"):
            in_hand(other, "RUN1").__enter__()
    with in_hand(store, "RUN1"):
        pass


@pytest.mark.parametrize("name", ["mine", "../a/b", "🫖", "é" * 60, "it's"])
def test_an_experiments_seeds_are_held_and_their_holder_is_named(store: Store, name: str) -> None:
    with Store.open(store.address) as other, held_experiment(store, name, [2, 1]):
        with pytest.raises(ConfigError, match=rf"experiment .+ with seed 2 \(process {os.getpid()} on .+\)"):
            held_experiment(other, name, [3, 2]).__enter__()
        with held_experiment(other, name, [3]), held_experiment(other, f"{name}2", [1]):
            pass
    with held_experiment(store, name, [1, 2, 3]):
        pass
