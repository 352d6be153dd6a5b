"""A run whose Ray loses its head, and then its scheduler, ends soon, in one line, and can be gone on with."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from openmic.store import Dialogue, Store, Turn

from .kills.trial import OUTLIVES_S, SMALL, TITLES, Command, line_of
from .whole_run import PATIENCE_S, WholeRun, openmic_here, resume_command, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ENDS_S = 50
"""Ray would end the run without a word after 60, or, without its scheduler, never."""


def lose(command: Command, part: str, when: str) -> tuple[float, list[psutil.Process]]:
    """Kill a part of the Ray that a command has started once a certain worker is there; returns when, and what ran."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert command.process.poll() is None, "it was over before anything could be killed"
        below = psutil.Process(command.process.pid).children(recursive=True)
        lines = [(one, line_of(one)) for one in below]
        if any(line.startswith(when) for _, line in lines):
            [victim] = [one for one, line in lines if f"/{part} " in line]
            victim.send_signal(signal.SIGKILL)
            return time.monotonic(), below
        time.sleep(0.05)
    raise AssertionError(f"there was never a {when}")


def test_a_run_that_loses_rays_head_or_scheduler_ends_and_goes_on(
    ray_running: None, tiny_causal: Path, tmp_path: Path
) -> None:
    small = {**SMALL, "training": {"epochs": 40, "batch_size": 1, "save_steps": 2}}
    arguments = ["run", str(write_config(tmp_path, tiny_causal, **small))]
    for part, when in (("gcs_server", TITLES["student"]), ("raylet", TITLES["trainer"])):
        command = Command(*arguments, folder=tmp_path)
        below: list[psutil.Process] = []
        try:
            killed, below = lose(command, part, when)
            run = command.ended(tmp_path)
            assert time.monotonic() - killed < ENDS_S
            gone, alive = psutil.wait_procs(below, timeout=OUTLIVES_S)
            assert not alive, alive
            assert gone
        finally:
            for one in below:
                if one.is_running():
                    one.kill()
            if command.process.poll() is None:
                command.process.kill()
        assert run.code == 1, run.stderr
        assert (
            f"error: Ray on this machine has lost its {'head' if part == 'gcs_server' else 'scheduler'}" in run.stderr
        )
        assert "Traceback" not in run.stderr
        with Store.open_readonly(run.store) as store:
            assert store.resolve_run("latest").status == "interrupted"
        arguments = resume_command(run.stderr)
    done = openmic_here(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = WholeRun(tmp_path, 0, done.stdout, done.stderr, 0.0)
    with Store.open_readonly(run.store) as store:
        places = [(turn.dialogue_id, turn.seq) for turn in store.select(Turn)]
        assert len(places) == len(set(places))
        assert store.count(Dialogue, status="finished") == store.count(Dialogue)
    answered = [line["request_hash"] for line in run.journal if line["status"] == 200]
    assert len(answered) - len(set(answered)) <= 2  # what was on its way at either end
