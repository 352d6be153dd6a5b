"""The benchmark of training measures both sides and the way to an answer; its figures mean nothing here."""

from pathlib import Path

import pytest

from .test_pool_benchmarks import quick


@pytest.mark.usefixtures("ray_running")
def test_the_benchmark_of_training_reports_both_sides(tiny_causal: Path) -> None:
    pytest.importorskip("trl", reason="TRL comes with the `dev` extra")
    result = quick("train", f"--model={tiny_causal}", "--threads=1")
    assert (result["target"], result["met"]) == (1.0, result["value"] >= 1.0)
    parts = result["parts"]
    assert {side: len(times) for side, times in parts["seconds"].items()} == {"openmic": 1, "TRL": 1}
    assert result["value"] == pytest.approx(parts["seconds"]["TRL"][0] / parts["seconds"]["openmic"][0])
    assert min(parts["peak_memory_mb"].values()) > 100
    way = parts["feedback_to_answer"]
    assert way.pop("total_s") == pytest.approx(sum(way.values()))
    assert min(way.values()) > 0
    assert "pairs to the new adapter's first answer" in result["stderr"]
