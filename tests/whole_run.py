"""Whole runs through the real command line: a real subprocess, real local Ray, the simulated cast, a tiny student.

A tiny student writes garbage, so the settings let garbage count, and tests assert structure, never quality.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[1]
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 16}
PATIENCE_S = 420
"""A run takes some 30 s on two quiet cores."""


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would configure openmic from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENMIC_", "OPENAI_"))}
    return kept | more


def write_config(folder: Path, student: Path, /, **sections: dict[str, Any]) -> Path:
    """A configuration that makes a whole run small; `sections` are laid over it."""
    folder.mkdir(parents=True, exist_ok=True)
    task = yaml.safe_load((ROOT / "agents" / "tasks" / "humor.yaml").read_text(encoding="utf-8"))
    task["validity"] |= {"min_words": 1, "max_length_ratio": None, "complete": False}
    (folder / "lenient.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    values: dict[str, Any] = {
        "name": "tiny",
        "task": "lenient.yaml",
        "inputs": {"path": str(ROOT / "examples" / "inputs" / "humor.jsonl"), "limit": 24},
        "student": {"model": str(student), "device": "cpu", "sampling": {**SAMPLING}},
        "imitation": {"demonstrations": 2, "epochs": 1},
        # Among drafts of garbage the critic is never sure of anything, so every difference counts.
        "verdict": {"tie_margin": 0.0},
        "dialogue": {"inputs": 6, "candidates": 3},
        "preferences": {"length_ratio": [0.05, 20.0], "teacher_over_student": True},
        "training": {"epochs": 1, "threads": 1},
        "evaluation": {"dev_inputs": 2, "bootstrap_samples": 200, "sampling": {**SAMPLING}},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def openmic(
    *arguments: str, cwd: Path, prefix: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, started by another one where a prefix says so."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "openmic", *arguments],
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def openmic_here(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command in this process, which spares it the imports, and Ray's start where a session is there already."""
    from openmic.cli.app import main

    out, err, code = StringIO(), StringIO(), 0
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - clean_environment().keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["openmic", *arguments])
        try:
            main()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return subprocess.CompletedProcess(["openmic", *arguments], code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class WholeRun:
    """A run that ended, and what its command said."""

    folder: Path
    code: int
    stdout: str
    stderr: str
    seconds: float
    address: str = ""
    """Its store's, where that is on a server."""

    @property
    def home(self) -> Path:
        return self.folder / "openmic-data"

    @property
    def store(self) -> str:
        return self.address or str(self.home / "openmic.db")

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def journal(self) -> list[dict[str, Any]]:
        return journal_of(self.home)


def journal_of(home: Path) -> list[dict[str, Any]]:
    """The embedded cast's log of requests, over all its processes."""
    [path] = home.glob("runs/*/simulated-cast.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def whole_run(config: Path, *, here: bool = False, **environment: str) -> WholeRun:
    """Carry out a run beside its configuration, in a process of its own or `here`, for which Ray should be running."""
    began = time.monotonic()
    command = openmic_here if here else openmic
    done = command("run", str(config), "--json", cwd=config.parent, **environment)
    return WholeRun(config.parent, done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@cache
def finished_run(student: Path) -> WholeRun:
    """The one whole run that all tests of a session look at, in whatever process. They must not change it."""
    session = student.parents[2 if "PYTEST_XDIST_WORKER" in os.environ else 1]
    folder, record = session / "whole-run", session / "whole-run.json"
    with FileLock(session / "whole-run.lock"):
        if not record.exists():
            run = whole_run(write_config(folder, student))
            assert run.code == 0, run.stderr
            record.write_text(json.dumps([run.stdout, run.stderr, run.seconds]), encoding="utf-8")
        stdout, stderr, seconds = json.loads(record.read_text(encoding="utf-8"))
    return WholeRun(folder, 0, stdout, stderr, seconds)


def resume_command(stderr: str) -> list[str]:
    """The arguments of the command that an interrupted run says it can be resumed with."""
    found = re.search(r"^to go on: openmic (resume .+)$", stderr, re.MULTILINE)
    assert found is not None, stderr
    return found.group(1).split()
