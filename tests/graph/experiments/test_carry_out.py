"""Who may carry an experiment out. Nothing is carried out."""

import os
from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.context.progress import Silent
from openmic.graph.experiments.carry_out import CheckedExperiment, run_experiment
from openmic.graph.experiments.cells import cells_of
from openmic.graph.experiments.spec import read_experiment
from openmic.store import ExperimentRow, Store
from openmic.store.liveness import held_experiment


def test_an_experiment_is_one_processs_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "inputs.txt").write_text("\n".join(f"The kettle number {n} broke again." for n in range(24)))
    config = {"inputs": {"path": str(tmp_path / "inputs.txt")}, "home": str(tmp_path / "home")}
    read = read_experiment({"name": "a/b 🫖", "config": config, "seeds": [1], "arms": {"DPO": {}}})
    found = CheckedExperiment(read, cells_of(read), {})
    with Store.open(found.store) as store, held_experiment(store, "a/b 🫖"):
        with pytest.raises(
            ConfigError, match=rf"experiment 'a/b 🫖' \(process {os.getpid()} on .+\); wait for it"
        ) as told:
            run_experiment(found, Silent())
        assert told.value.exit_code == 2
        assert store.count(ExperimentRow) == 0
