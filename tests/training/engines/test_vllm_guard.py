"""The guard of a server's processes: nothing is left, whoever of them is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from openmic.training.engines.vllm import guard

from ...waiting import wait_until

SERVER = """
import subprocess, sys, time
parts = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) for _ in range(2)]
print("up", flush=True)
time.sleep(300)
"""
PARENT = """
import os, subprocess, sys, time
guard, server = sys.argv[1:]
command = [sys.executable, guard, str(os.getpid()), sys.executable, "-c", server]
print(subprocess.Popen(command, start_new_session=True, stdout=2).pid, flush=True)
time.sleep(300)
"""


class Running:
    """A parent, its guard, and a server of three processes."""

    def __init__(self, log: Path) -> None:
        with log.open("wb") as said:
            self.parent = subprocess.Popen(
                [sys.executable, "-c", PARENT, guard.__file__, SERVER], stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self.parent.stdout is not None
        self.group = int(self.parent.stdout.readline())
        wait_until(lambda: "up" in log.read_text(), 60)

    @property
    def processes(self) -> list[int]:
        found = subprocess.run(["pgrep", "-g", str(self.group)], capture_output=True, text=True, check=False)
        alive = [int(pid) for pid in found.stdout.split()]
        return [pid for pid in alive if "State:\tZ" not in _status(pid)]

    @property
    def started(self) -> list[int]:
        """What the guard itself started."""
        return [pid for pid in self.processes if f"PPid:\t{self.group}\n" in _status(pid)]

    def end(self) -> None:
        self.parent.kill()
        self.parent.communicate()
        with suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)


def _status(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return "State:\tZ"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "log")
    assert len(found.processes) == 4
    yield found
    found.end()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
class TestGuard:
    def test_a_parent_that_is_killed_takes_the_server_along(self, running: Running) -> None:
        os.kill(running.parent.pid, signal.SIGKILL)
        running.parent.wait()
        wait_until(lambda: not running.processes, 60)

    def test_a_server_that_is_killed_takes_its_parts_along(self, running: Running, tmp_path: Path) -> None:
        [server] = running.started
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: not running.processes, 60)
        assert (tmp_path / "log").read_text().endswith("the process ended by signal 9\n")

    def test_one_that_is_told_to_end_ends_all(self, running: Running) -> None:
        os.kill(running.group, signal.SIGTERM)
        wait_until(lambda: not running.processes, 60)

    def test_a_guard_that_is_killed_takes_at_least_the_server_itself_along(self, running: Running) -> None:
        [server] = running.started
        os.kill(running.group, signal.SIGKILL)
        wait_until(lambda: server not in running.processes, 60)
