"""What an experiment comes to, out of a store of rows."""

from pathlib import Path
from typing import Any

import pytest

from openmic.graph.experiments.results import experiment_named, experiment_results, sampled_outputs
from openmic.store import ExperimentRow, Run, Store

from ...store.judged import judged_run
from ...store.rows import example, run

ARMS: dict[str, dict[str, Any]] = {
    "FT": {},
    "DPO": {},
    "SD": {"train_on": "DPO"},
    "KTO": {"train_on": "SD"},
    "as SD is": {"of": "SD"},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An experiment whose two campaigns are done with one seed; one was not judged on every input."""
    opened = Store.open(str(tmp_path / "store.db"))
    opened.add(*(example(id=f"in{place}", text=f"input {place}") for place in range(4)))
    cells = [
        {"arm": arm, "seed": seed, "kind": "campaign", "content": spec.get("of") or arm, "version": "base"}
        for seed in (1, 2)
        for arm, spec in ARMS.items()
    ]
    arms = {arm: {"of": None, "train_on": None, "set": {}, "note": ""} | spec for arm, spec in ARMS.items()}
    spec: dict[str, Any] = {"about": "", "measured_over": "FT", "seeds": [1, 2], "cells": cells, "arms": arms}
    opened.add(ExperimentRow(id="E1", name="mine", spec=spec))
    judged_run(opened, "ONE", "sft", "-lll", 1, experiment="mine", content="FT")
    judged_run(opened, "TWO", "dpo", "wwww", 1, experiment="mine", content="DPO")
    judged_run(opened, "OTHER", "dpo", "wlwl", 2, experiment="mine", content="DPO")
    return opened


def test_samples_are_of_inputs_that_every_arm_that_is_done_was_judged_on(store: Store) -> None:
    with store:
        samples = sampled_outputs(store, experiment_named(store, "mine"), number=2)
    assert [sample["input"] for sample in samples] == ["input 1", "input 2"]
    assert samples[0]["teacher"] == "ONE-1 1"
    assert [(said["arm"], said["text"], said["outcome"]) for said in samples[0]["outputs"]] == [
        ("FT", "ONE-1 0", "loss"),
        ("DPO", "TWO-1 0", "win"),
    ]


def test_what_failed_is_told_from_what_is_left_to_be_done(store: Store) -> None:
    with store:
        store.update(Run, "OTHER", status="interrupted")
        store.add(run(id="SD1", seed=1, status="failed", error="no", experiment="mine", content="SD"))
        found = experiment_results(store, experiment_named(store, "mine"))["failed"]
    assert {(one["arm"], one["seed"]): (one["state"], one["error"]) for one in found} == {
        ("SD", 1): ("failed", "no"),
        ("KTO", 1): ("failed", "SD, which it goes back to, failed"),
        ("as SD is", 1): ("failed", "no"),
        ("FT", 2): ("left", "not begun"),
        ("DPO", 2): ("left", "interrupted"),
        ("SD", 2): ("left", "not begun"),
        ("KTO", 2): ("left", "not begun"),
        ("as SD is", 2): ("left", "not begun"),
    }
