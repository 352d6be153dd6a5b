"""What the workflow calls is there, and it covers every Python that the package says it runs on."""

import re
from pathlib import Path
from typing import Any

import yaml

from .conftest import LONGEST

ROOT = Path(__file__).parents[1]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
CALL = re.compile(r"\bmake ([a-z-]+)")


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_every_target_that_is_called_exists() -> None:
    called = {job: [target for command in commands(job) for target in CALL.findall(command)] for job in JOBS}
    assert called == {
        "lint": ["setup", "lint", "docs"],
        "audit": ["audit"],
        "fast": ["setup", "test-fast"],
        "image": ["image"],
        "whole": ["setup", "test"],
    }
    assert {target for targets in called.values() for target in targets} <= TARGETS
    ours = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:if )?\s*make ([a-z-]+)", ours, re.MULTILINE)) <= TARGETS


def test_what_contributors_call_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert {"setup", "lint", "format", "test", "test-fast", "docs", "reference", "audit", "licences"} <= told


def test_the_fast_tests_run_on_every_python_from_the_oldest_on() -> None:
    pythons = JOBS["fast"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    requires = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={pythons[0]}"' in requires


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []


def test_only_the_makers_actions_are_used_and_what_is_installed_is_kept() -> None:
    for name, job in JOBS.items():
        used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        if name == "image":  # whose Python is in the image
            assert used == ["actions/checkout"]
            continue
        assert used == ["actions/checkout", "actions/setup-python"]
        assert job["steps"][1]["with"]["cache"] == "pip"
        assert list(ROOT.glob(job["steps"][1]["with"]["cache-dependency-path"]))
