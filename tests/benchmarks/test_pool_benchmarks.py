"""The benchmarks of the pool do what they say, in their quick form; their figures mean nothing here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def quick(name: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark says in its last line, after its table."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(line)
    assert {"name", "value", "unit", "target", "met", "parts"} == set(result)
    assert table[-1].startswith(f"{name}: ")
    assert result["name"] == name
    return result


def test_swaps_under_load_lose_and_mix_up_nothing(tiny_causal: Path) -> None:
    parts = quick("swap", "--model", str(tiny_causal))["parts"]
    assert parts["mix-ups"] == []
    assert parts["lost"] == parts["wrong adapter"] == 0
    assert parts["answers"] > parts["versions"] >= 2
    assert len(parts["pauses"]) == 10
    assert min(parts["pauses"]) > 0


def test_sleeping_students_answer_more_the_more_there_are() -> None:
    result = quick("scale")
    assert set(result["parts"]["requests_per_second"]) == {"1", "2"}
    assert 0 < result["value"] <= 1
