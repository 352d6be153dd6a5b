"""Who may carry an experiment out. Nothing is carried out."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, MemoryFullError, OpenmicError, TrainingError
from openmic.graph.context.progress import Silent
from openmic.graph.experiments.carry_out import STOPS, CheckedExperiment, chosen_seeds, run_experiment
from openmic.graph.experiments.cells import cells_of
from openmic.graph.experiments.spec import read_experiment
from openmic.graph.runs.provenance import Membership
from openmic.store import ExperimentRow, Store
from openmic.store.liveness import held_experiment


def checked(tmp_path: Path, **spec: Any) -> CheckedExperiment:
    (tmp_path / "inputs.txt").write_text("\n".join(f"The kettle number {n} broke again." for n in range(24)))
    lengths = {name: {"sampling": {"max_tokens": 48}} for name in ("student", "evaluation")}
    config = {"inputs": {"path": str(tmp_path / "inputs.txt")}, "home": str(tmp_path / "home"), **lengths}
    read = read_experiment({"name": "a/b 🫖", "config": config, "arms": {"DPO": {}}, **spec})
    return CheckedExperiment(read, cells_of(read), {})


@pytest.mark.parametrize("seeds", [(), (2,), (1, 2)])
def test_a_seed_is_one_processs_at_a_time(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    found = checked(tmp_path, seeds=[1, 2])
    with Store.open(found.store) as store, held_experiment(store, "a/b 🫖", [2]):
        with pytest.raises(
            ConfigError, match=rf"'a/b 🫖' with seed 2 \(process {os.getpid()} on .+\); wait for it"
        ) as told:
            run_experiment(found, Silent(), seeds=seeds)
        assert told.value.exit_code == 2
        assert store.count(ExperimentRow) == 0


@pytest.mark.parametrize("error", [MemoryFullError, TrainingError, *STOPS])
def test_an_arm_that_has_too_little_memory_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OpenmicError]
) -> None:
    begun: list[str] = []

    def start(identity: str, config: RunConfig, *_: object, member: Membership, **__: object) -> None:
        begun.append(member.arm)
        if len(begun) == 1:
            raise error("it is more than there is")

    place = "openmic.graph.experiments.carry_out"
    monkeypatch.setattr(f"{place}.check", lambda *_, **__: None)
    monkeypatch.setattr(f"{place}.ray_session", lambda **_: nullcontext())
    monkeypatch.setattr(f"{place}.start_run", start)
    found = checked(tmp_path, seeds=[1], arms={"large": {}, "small": {"set": {"student.max_batch": 1}}})
    if error in STOPS:
        with pytest.raises(error, match="it is more"):
            run_experiment(found, Silent())
        assert begun == ["large"]
    else:
        assert [one.error for one in run_experiment(found, Silent())] == ["it is more than there is", None]
        assert begun == ["large", "small"]


@pytest.mark.parametrize(("given", "meant"), [((), (3, 1, 2)), ((2,), (2,)), ((2, 3, 2), (3, 2))])
def test_seeds_are_meant_in_the_experiments_order(
    tmp_path: Path, given: tuple[int, ...], meant: tuple[int, ...]
) -> None:
    read = checked(tmp_path, seeds=[3, 1, 2]).read
    assert chosen_seeds(read, given) == meant
    with pytest.raises(ConfigError, match="seed 4 is none of a/b 🫖's, which are 3, 1, 2") as told:
        chosen_seeds(read, [*given, 4])
    assert told.value.exit_code == 2
