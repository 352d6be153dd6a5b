"""A run's status as it is: what says `running` is believed only while somebody has the run in hand."""

from pathlib import Path

import pytest

from openmic.store import Run, Store
from openmic.store.liveness import live_status

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
