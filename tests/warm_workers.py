"""Ray's workers without the seconds that each takes to import Ray, torch, transformers and PEFT.

Ray starts an interpreter for every worker. `starting_warm` gives it a launcher to start instead, which asks for a fork
of one process that has imported all that already. From there on a worker is as any other: Ray's own program, with the
arguments, the environment and the streams that Ray gave it, in a process of its own.

A worker with a runtime environment of its own starts as ever. This file is also what the launcher executes, so that
nothing is imported at its top that takes time, such as pathlib.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

IMPORTED = (
    "ray._private.workers.default_worker",
    "openmic.training.engines.static",
    "openmic.training.pool.actor",
    "openmic.training.student.student",
    "openmic.training.trainer.actor",
    "openmic.training.loop.fine_tune",
    "peft",
)
LAUNCHER = """#!/bin/sh
case "$1" in
*/default_worker.py) exec "{python}" -IS "{file}" ask "{address}" "$@" ;;
esac
exec "{python}" "$@"
"""


@contextmanager
def starting_warm() -> Iterator[None]:
    """A Ray that is started within starts warm workers for as long as it lives; elsewhere than on Linux, cold ones."""
    import atexit
    import shutil
    import tempfile
    from pathlib import Path

    if sys.platform != "linux":
        yield
        return
    # Short, as the names of sockets have to be.
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    python, launcher = sys.executable, folder / "python"
    launcher.write_text(LAUNCHER.format(python=python, file=__file__, address=folder / "socket"), encoding="utf-8")
    launcher.chmod(0o700)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.executable = str(launcher)
    try:
        yield
    finally:
        sys.executable = python


def ask(address: str, command: list[str]) -> None:
    """Have a worker forked, and end when it does."""
    asked = {"arguments": command, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109 - see above
    with open(f"{address}.lock", "w", encoding="utf-8") as lock:  # noqa: PTH123 - see above
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = _connected(address)
    socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
    connection.recv(1)


def _connected(address: str) -> socket.socket:
    """A connection to the process that forks, which whoever comes first starts: as a child of Ray's, as workers are."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(address)
    except OSError:
        reading, writing = os.pipe()
        command = [sys.executable, __file__, "serve", address, str(os.getppid()), str(writing)]
        subprocess.Popen(command, pass_fds=[writing], start_new_session=True)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        connection.connect(address)
    return connection


def serve(address: str, raylet: int, ready: int) -> None:
    """Fork for whoever asks, until the raylet ends; in the process that is a worker, return when its program does."""
    import gc
    import importlib
    import runpy

    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker here
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    os.close(ready)
    watch = os.pidfd_open(raylet)
    heard: list[Any] = [listener, watch]
    while watch not in select.select(heard, [], [])[0]:
        connection, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if message and os.fork() == 0:
            listener.close()
            os.close(watch)
            asked = json.loads(message)
            _become(asked, streams, connection)
            runpy.run_path(asked["arguments"][0], run_name="__main__")
            return
        connection.close()
        for stream in streams:
            os.close(stream)


def _become(asked: dict[str, Any], streams: list[int], connection: socket.socket) -> None:
    """Be the process that was asked for."""
    os.setpgid(0, 0)  # Ray ends a worker's whole group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = asked["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])  # noqa: PTH120 - as Python does it
    threading.Thread(target=_end_with, args=[connection], daemon=True).start()


def _end_with(connection: socket.socket) -> None:
    """End when whoever asked for this process does; that is whom Ray knows."""
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2], sys.argv[3:])
    else:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
