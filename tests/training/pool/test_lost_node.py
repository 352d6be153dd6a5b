"""A cluster of three nodes that loses one for good, in a program of its own: see `lost_node`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_node_that_is_cut_off_costs_no_answer_holds_up_nothing_and_its_place_is_taken_again(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.pool.lost_node", str(tmp_path / "diary"), str(report)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text(encoding="utf-8")) == {
        "student resources left": 0,
        "answered": sorted(f"r{i}" for i in range(10)),
        "answered by the lost one": 0,
        "serving": 1,
        "after": 2,
        "workers meanwhile": 1,
        "the newcomer loads": ["loaded 1", "loaded 2"],
        "versions at last": [2],
        "workers at last": 2,
    }
