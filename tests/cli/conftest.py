"""The command line in this process, which is quick: what it printed, and the code it ended with."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from openmic.cli.app import main
from openmic.simulator import SimulatedCast, SimulatorSettings

from ..whole_run import WholeRun, finished_run, write_config

LINES = [f"I lost umbrella number {number} on the train." for number in range(30)]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Openmic(Protocol):
    def __call__(self, *arguments: str) -> Outcome:
        """Run `openmic` with these arguments."""
        ...


@pytest.fixture
def openmic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Openmic:
    """The command, in an empty folder and without a configuring environment."""
    for name in list(os.environ):
        if name.startswith(("OPENMIC_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def perform(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["openmic", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return perform


@pytest.fixture(scope="session")
def run(tiny_causal: Path) -> WholeRun:
    """The finished run that all tests look at."""
    return finished_run(tiny_causal)


@pytest.fixture
def of_run(openmic: Openmic, run: WholeRun, monkeypatch: pytest.MonkeyPatch) -> Openmic:
    """The command in the folder of the finished run."""
    monkeypatch.chdir(run.folder)
    return openmic


@pytest.fixture(scope="session")
def locked_cast() -> Iterator[str]:
    """The base URL of a simulated cast that lets nobody in without the key `right`."""
    with SimulatedCast(SimulatorSettings(api_key="right")) as cast:
        yield cast.base_url


@pytest.fixture
def config(tmp_path: Path, tiny_causal: Path) -> Path:
    """A configuration with which nothing is wrong."""
    (tmp_path / "inputs.txt").write_text("\n".join(LINES), encoding="utf-8")
    return write_config(tmp_path, tiny_causal, inputs={"path": "inputs.txt"})
