import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_training_reports_both_sides(tiny_causal: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL comes with the `dev` extra")
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "train.py",
            "--quick",
            "--json",
            f"--model={tiny_causal}",
            "--threads=1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["name"], result["target"], result["met"]) == ("train", 1.0, result["value"] >= 1.0)
    parts = result["parts"]
    assert {side: len(times) for side, times in parts["seconds"].items()} == {"openmic": 1, "TRL": 1}
    assert result["value"] == pytest.approx(parts["seconds"]["TRL"][0] / parts["seconds"]["openmic"][0])
    assert min(parts["peak_memory_mb"].values()) > 100
    way = parts["feedback_to_answer"]
    assert way.pop("total_s") == pytest.approx(sum(way.values()))
    assert min(way.values()) > 0
    assert "pairs to the new adapter's first answer" in done.stderr
