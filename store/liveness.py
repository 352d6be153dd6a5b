"""Whether a run that is said to be running is: the lock of whoever carries it out decides.

A process that was killed wrote no other word. Its lock went with it.
"""

from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from .reading import Reader
from .tables.transcript import Run, RunStatus

LiveStatus = RunStatus | Literal["died"]
"""A run's status as it is; `died` ended without a word, and can be resumed."""


def run_folder(reader: Reader, run: Run) -> Path:
    """The folder of a run's files."""
    return Path(reader.located(run.home))


def run_lock(reader: Reader, run: Run) -> FileLock:
    """The lock that whoever carries the run out holds on this machine."""
    return FileLock(run_folder(reader, run) / "lock", mode=0o600)


def live_status(reader: Reader, run: Run) -> LiveStatus:
    """The run's status; `died` where it says that it is running and nobody is carrying it out."""
    return "died" if run.status == "running" and not is_carried_out(reader, run) else run.status


def is_carried_out(reader: Reader, run: Run) -> bool:
    """Whether a process has the run in hand, here or, with a database server, on another machine."""
    held = reader.held_on_server(run.id)
    if held is not None:
        return held
    lock = run_lock(reader, run)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's file, or a file system that takes no writing: the word is all there is
        return True
