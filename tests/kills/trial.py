"""One trial: a tiny campaign of which a process is killed at some moment, gone on with until it is finished."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from ..whole_run import PATIENCE_S, WholeRun, clean_environment, resume_command, write_config
from .promises import broken

Victim = Literal["driver", "student", "trainer", "cast"]
TITLES: dict[Victim, str] = {
    "student": "ray::StudentActor",
    "trainer": "ray::TrainerWorker",
    "cast": "openmic simulate",
}
"""How the command line of each process but the driver's begins, or what is in it."""
SMALL: dict[str, dict[str, Any]] = {
    "inputs": {"limit": 20},
    "imitation": {"inputs": 5, "epochs": 2},
    # One dialogue after another, as the preferences that come first are the first to be trained on.
    "dialogue": {"inputs": 5, "concurrency": 1},
    "training": {"epochs": 4, "batch_size": 1, "save_steps": 2},
    "evaluation": {"dev_inputs": 2, "test_inputs": 2},
    "student": {"pool": {"max_retries": 5}},
}
MOST_RESUMES = 3
OUTLIVES_S = 90.0
"""How long what a driver started may outlive it: two of Ray's agents look for it but once a minute."""


@dataclass
class Trial:
    """One kill, and what came of it."""

    victim: Victim
    after_s: float
    """Seconds that the victim has lived."""
    killed: bool = False
    """Whether there was something to kill before the run was over."""
    resumes: int = 0
    asked_again: int = 0
    """Requests that were answered more than once: their replies were on their way when their reader died."""
    wrong: list[str] = field(default_factory=list)
    """What did not hold."""


class Command:
    """An `openmic` command that runs in a process group of its own, its streams in files that nobody has to read."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        """Start it in `folder`."""
        self._streams = {name: folder / f"{time.monotonic_ns()}.{name}" for name in ("stdout", "stderr")}
        out, err = (path.open("wb") for path in self._streams.values())
        with out, err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "openmic", *arguments, "--json"],
                cwd=folder,
                env=clean_environment(OMP_NUM_THREADS="1"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def ended(self, folder: Path) -> WholeRun:
        """What it came to; waits for its end."""
        code = self.process.wait(timeout=PATIENCE_S)
        stdout, stderr = (path.read_text(encoding="utf-8", errors="replace") for path in self._streams.values())
        return WholeRun(folder, code, stdout, stderr, 0.0)


def undisturbed(folder: Path, student: Path) -> tuple[WholeRun, float]:
    """The campaign without a kill, and how many seconds it took."""
    began = time.monotonic()
    run = Command("run", str(write_config(folder, student, **SMALL)), folder=folder).ended(folder)
    assert run.code == 0, run.stderr
    return run, time.monotonic() - began


def carry_out(trial: Trial, folder: Path, student: Path, expected: WholeRun) -> None:
    """Carry a trial out; what did not hold stands in it afterwards."""
    command = Command("run", str(write_config(folder, student, **SMALL)), folder=folder)
    below: list[psutil.Process] = []
    try:
        below = _kill(trial, command.process)
        run = command.ended(folder)
        died = time.monotonic()
        while True:
            trial.wrong += ["a traceback"] * ("Traceback" in run.stderr)
            if run.code == 0 or trial.resumes == MOST_RESUMES:
                break
            trial.resumes += 1
            command = Command(*_way_on(run, folder), folder=folder)
            run = command.ended(folder)
        if trial.killed and trial.victim == "driver":
            _, alive = psutil.wait_procs(below, timeout=max(0.0, OUTLIVES_S - (time.monotonic() - died)))
            trial.wrong += [f"{line_of(one)[:60]} outlived its driver by {OUTLIVES_S:.0f} s" for one in alive]
    finally:
        for one in (*below, *([psutil.Process(command.process.pid)] if command.process.poll() is None else [])):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    if run.code == 0:
        wrong, trial.asked_again = broken(run, expected)
        trial.wrong += wrong
    else:
        trial.wrong.append(f"exit code {run.code}: {(run.stderr.strip().splitlines() or ['nothing was said'])[-1]}")


def _kill(trial: Trial, process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Kill the victim at its moment; returns what the driver had started by then."""
    victim: psutil.Process | None = None
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            driver = psutil.Process(process.pid)
            below: list[psutil.Process] = driver.children(recursive=True)
            found = [driver] if trial.victim == "driver" else [one for one in below if _is(one, trial.victim)]
            if victim is None and found:
                victim = found[0]
            if victim is not None and time.time() - victim.create_time() >= trial.after_s:
                victim.send_signal(signal.SIGKILL)
                trial.killed = True
                return below
        time.sleep(0.05)
    return []


def _is(process: psutil.Process, victim: Victim) -> bool:
    with suppress(psutil.NoSuchProcess):
        return TITLES[victim] in line_of(process)
    return False


def line_of(process: psutil.Process) -> str:
    """Its command line."""
    try:
        return " ".join(" ".join(process.cmdline()).split())  # a process that names itself pads its line
    except psutil.NoSuchProcess:
        return f"process {process.pid}"


def _way_on(run: WholeRun, folder: Path) -> list[str]:
    """The command that goes on: what was said, or after a kill what a person would do."""
    if "to go on: openmic resume" in run.stderr:
        return resume_command(run.stderr)
    return ["resume"] if list(folder.glob("openmic-data/runs/*")) else ["run", str(folder / "config.yaml")]
