import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from openmic.core.errors import StoreError
from openmic.store import Run, Store, Turn

from ..waiting import wait_until
from ..whole_run import clean_environment, openmic, write_config

pytestmark = pytest.mark.slow


def test_a_cluster_that_does_not_answer_is_refused_and_nothing_is_written(tmp_path: Path, tiny_causal: Path) -> None:
    config = write_config(tmp_path, tiny_causal)
    before = set(tmp_path.rglob("*"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = openmic("run", str(config), "--cluster", address, cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: no Ray cluster can be joined at '{address}'" in done.stderr
    assert "to go on" not in done.stderr, "there is nothing to go on with"
    assert set(tmp_path.rglob("*")) == before


def test_sigterm_stores_what_was_done_as_ctrl_c_does(tmp_path: Path, tiny_causal: Path) -> None:
    config = write_config(tmp_path, tiny_causal, cast={"simulated": {"latency_s": 0.5}})
    command = [sys.executable, "-m", "openmic", "run", str(config)]
    path = tmp_path / "openmic-data" / "openmic.db"
    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_for_a_turn(process, path)
            os.kill(process.pid, signal.SIGTERM)
            _, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    with Store.open_readonly(str(path)) as store:
        [run] = store.select(Run)
        assert run.status == "interrupted"
    assert f"to go on: openmic resume {run.id}" in stderr


def test_a_signal_while_ray_starts_ends_the_command_before_anything_is_recorded(
    tmp_path: Path, tiny_causal: Path
) -> None:
    config = write_config(tmp_path, tiny_causal)
    command = [sys.executable, "-m", "openmic", "run", str(config)]
    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            driver = psutil.Process(process.pid)
            wait_until(lambda: any("gcs_server" in child.name() for child in driver.children(recursive=True)), 120)
            children = driver.children(recursive=True)
            process.send_signal(signal.SIGHUP)
            _, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    assert "error: interrupted before the run began; nothing was recorded" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "openmic-data" / "runs").exists()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def _wait_for_a_turn(process: "subprocess.Popen[str]", path: Path) -> None:
    """Until the teacher has spoken, which it does when Ray is there."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with suppress(StoreError), Store.open_readonly(str(path)) as store:
            while process.poll() is None and time.monotonic() < deadline:
                if store.count(Turn):
                    return
                time.sleep(0.05)
        time.sleep(0.1)
    raise AssertionError("nothing was said in time")
