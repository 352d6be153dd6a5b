"""Runs a command as long as the process that wants it lives, and leaves nothing of it behind.

    python guard.py PARENT COMMAND…

A server of models is several processes, and the one that was started may be killed without the others, or the process
that started it without either. The guard leads their group. Once the command or the parent has ended, or SIGTERM says
so, it ends all of the group, itself included. It is run by its path and knows nothing of openmic.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

LOOK_S = 0.2
GRACE_S = 5.0
"""What is asked to end gets so long."""


def main(parent: int, command: list[str]) -> None:
    """Run the command. Does not return: the group ends, and with it this process."""
    told: list[int] = []
    for kind in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(kind, lambda number, _: told.append(number))
    child = subprocess.Popen(  # noqa: S603 - what the parent wants to run
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_the_guard,  # noqa: PLW1509 - there is one thread
    )
    while child.poll() is None and os.getppid() == parent and not told:
        time.sleep(LOOK_S)
    if child.returncode is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
    else:
        how = f"by signal {-child.returncode}" if child.returncode < 0 else f"with code {child.returncode}"
        print(f"the process ended {how}", flush=True)  # noqa: T201 - into its log
    os.killpg(0, signal.SIGKILL)


def _end_with_the_guard() -> None:
    """Have the kernel end the command should the guard itself be killed; elsewhere than on Linux nothing does."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
