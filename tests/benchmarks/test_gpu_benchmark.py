"""The benchmark of GPUs measures each of its steps on whatever there is, and ends one that takes too long."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .test_pool_benchmarks import BENCHMARKS, quick


@pytest.mark.usefixtures("ray_running")
def test_each_step_gives_its_figures_and_says_what_it_leaves_out(tiny_causal: Path) -> None:
    steps = "ceilings,static,slots,generate,batching,feedback,vllm"
    result = quick("gpu", f"--model={tiny_causal}", "--device=cpu", "--threads=1", f"--only={steps}")
    rows = result["parts"]["rows"]
    figures = {row["what"]: row for row in rows if "value" in row}
    assert min(row["value"] for row in figures.values()) > 0
    for engine in ("static", "slots", "transformers' generate", "transformers' continuous batching"):
        assert {f"{engine}, {count} requests at once" for count in (4, 6)} <= figures.keys()
    ratio = figures["slots / transformers' generate, most requests"]
    assert ratio["value"] == pytest.approx(
        figures["slots, 6 requests at once"]["value"] / figures["transformers' generate, 6 requests at once"]["value"]
    )
    assert figures["slots, 6 requests at once"]["target"] == 25_000
    assert any(what.endswith("first answer, total") for what in figures)
    assert [row["step"] for row in rows if "left_out" in row] == ["vllm"]
    judged = [row["met"] for row in rows if row.get("met") is not None]
    assert result["value"] == pytest.approx(sum(judged) / len(judged))


def test_a_step_that_takes_too_long_says_where_it_was_and_is_ended(tiny_causal: Path) -> None:
    asked = ["--json", f"--model={tiny_causal}", "--device=cpu", "--only=ceilings,static", "--seconds=5.5"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *asked], capture_output=True, text=True, check=True, timeout=120
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert "was ended" in lines[0]["failed"]
    assert "no time was left" in lines[1]["failed"]
    assert "most recent call first" in done.stderr
    assert lines[-1]["met"] is False
