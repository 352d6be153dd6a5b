"""What an experiment comes to, out of a store of rows."""

from pathlib import Path
from typing import Any

import pytest

from openmic.graph.experiments.results import experiment_named, sampled_outputs
from openmic.store import ExperimentRow, Store

from ...store.judged import judged_run
from ...store.rows import example


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An experiment of three arms, of which one was not judged on every input and one not begun."""
    opened = Store.open(str(tmp_path / "store.db"))
    opened.add(*(example(id=f"in{place}", text=f"input {place}") for place in range(4)))
    cells = [
        {"arm": arm, "seed": seed, "kind": "campaign", "content": arm, "version": "base"}
        for seed in (1, 2)
        for arm in ("FT", "DPO", "SD")
    ]
    spec: dict[str, Any] = {"seeds": [1, 2], "cells": cells, "arms": {}}
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
