"""The benchmarks of the pool do what they say, in their quick form; their figures mean nothing here.

Benchmarks run in this process, as the main module, and those that need Ray in its one session.
"""

import json
import runpy
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def quick(name: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark says in its last line, after its table; `stderr` holds what it says elsewhere."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setattr(sys, "argv", [name, "--quick", "--json", *arguments])
        patch.syspath_prepend(str(BENCHMARKS))
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    *table, line = out.getvalue().splitlines()
    result: dict[str, Any] = json.loads(line)
    assert {"name", "value", "unit", "target", "met", "parts"} == set(result)
    assert table[-1].startswith(f"{name}: ")
    assert result["name"] == name
    return {**result, "stderr": err.getvalue()}


@pytest.mark.usefixtures("ray_running")
def test_swaps_under_load_lose_and_mix_up_nothing(tiny_causal: Path) -> None:
    parts = quick("swap", "--model", str(tiny_causal))["parts"]
    assert parts["mix-ups"] == []
    assert parts["lost"] == parts["wrong adapter"] == 0
    assert parts["answers"] > parts["versions"] >= 2
    assert len(parts["pauses"]) == 10
    assert min(parts["pauses"]) > 0


@pytest.mark.usefixtures("ray_running")
def test_sleeping_students_answer_more_the_more_there_are() -> None:
    result = quick("scale")
    assert set(result["parts"]["requests_per_second"]) == {"1", "2"}
    assert result["parts"]["processor_ms_per_request"] >= 0
    assert {name.split()[0] for name in result["parts"]["errors_percent"]} == {"1", "2", "4"}
    assert 0 < result["value"] <= 1
