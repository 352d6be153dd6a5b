"""Starting Ray on this machine, or joining the cluster that is there, without its noise on the terminal."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil

from ..core.concurrency import ENDING_SIGNALS
from ..core.errors import ConfigError, RayLostError
from ..core.section import unwritable

_ANSWER_S = 10.0
"""How long a cluster may take to answer. Ray itself would try for minutes, and in many words."""
_STARTS = 2
"""How often it is tried to start Ray here; its own processes have half a minute each time."""
_LOOPBACK = "127.0.0.1"
"""Where every process of a session on this machine alone listens: whoever reaches Ray's ports may run code as its
user."""
_LONGEST_FOLDER = 107 - len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.99")
"""Characters of the path of Ray's folder, as the paths of sockets may have 107."""


@contextmanager
def ray_session(*, minimum_cpus: int = 2, address: str | None = None) -> Iterator[None]:
    """Ray for the time of the block. A session that the caller already has is used and left alone.

    Blocks that lie side by side, as of two runs at once, share a session; it ends with the last of them.

    Args:
        minimum_cpus: Logical CPUs of a session of its own, declared even on a machine with fewer, because student and
            trainer take turns.
        address: The cluster to join: HOST:PORT, or `auto` for the one that this machine is part of. None: what
            RAY_ADDRESS says, else a session of its own on this machine.

    Raises:
        ConfigError: there is no such cluster, or it does not let this process in.
        RayLostError: Ray does not start on this machine.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keep CUDA_VISIBLE_DEVICES of CPU-only actors
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Threads that spin for long while they wait slow everything down as soon as anything else wants the CPU; threads
    # that do not spin at all are slow to wake between the many small products of one generated token.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Under `uv run` Ray would pack the working directory, whatever its size, and build the environment anew for every
    # actor: the actors are to run in the environment that is there.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations at import are not the user's business
        import ray
        from ray._private import ray_constants

    # Ray reads the variable when it is imported, which whoever calls may have done before.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] not in {"0", "false"}

    with _OWN.lock:
        if not ray.is_initialized():
            try:
                _begin(minimum_cpus, address or os.environ.get("RAY_ADDRESS"))
            except (KeyboardInterrupt, SystemExit):
                ray.shutdown()
                raise
            _OWN.users = 1
        elif _OWN.users:
            _OWN.users += 1
        own = bool(_OWN.users)
    try:
        yield
    finally:
        with _OWN.lock:
            _OWN.users -= own
            if own and not _OWN.users:
                ray.shutdown()


class _Session:
    """The session that this module began, if any, and how many blocks use it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


_OWN = _Session()


def _begin(minimum_cpus: int, address: str | None) -> None:

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with warnings.catch_warnings(), _signals_wait():
        warnings.simplefilter("ignore")
        if address and address != "local":
            _join(address, quiet)
        else:
            _start(max(minimum_cpus, os.cpu_count() or 1), quiet)


def _start(cpus: int, quiet: dict[str, Any]) -> None:
    """Start Ray here; once more where its processes take longer than it has patience, as on a busy machine."""
    import ray

    folder = _folder()
    for left in reversed(range(_STARTS)):
        began: list[subprocess.Popen[bytes]] = []
        try:
            with _loopback_as_it_is(), _noted(began):
                # Named, because on a node of a cluster Ray would otherwise join that.
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    _temp_dir=folder,
                    _node_ip_address=_LOOPBACK,
                    **quiet,
                )
        except Exception as error:
            for process in began:
                _end(process)
            if not left:
                raise RayLostError(
                    f"Ray does not start on this machine ({' '.join(str(error).split()).rstrip('.')}): it may be too "
                    f"busy, or out of memory; try again when it has less to do (its logs: {folder}/session_latest/logs)"
                ) from error
        else:
            return


@contextmanager
def _noted(began: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Note the processes that Ray begins meanwhile: a start that fails forgets them, and other threads have theirs."""
    from ray._private import services

    start = services.start_ray_process

    def noting(*args: Any, **kwargs: Any) -> Any:
        info = start(*args, **kwargs)
        began.append(info.process)
        return info

    services.start_ray_process = noting
    try:
        yield
    finally:
        services.start_ray_process = start


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that we began, and those that it began."""
    with suppress(psutil.NoSuchProcess):
        for below in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                below.kill()
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ANSWER_S)


@contextmanager
def _loopback_as_it_is() -> Iterator[None]:
    """Ray takes loopback for a slip and puts the machine's outward address in its place; here it does not."""
    from ray._private import services

    resolve = services.resolve_ip_for_localhost
    services.resolve_ip_for_localhost = lambda host: host
    try:
        yield
    finally:
        services.resolve_ip_for_localhost = resolve


def _folder() -> str:
    """The folder for Ray's files and sockets: where Ray would have it, or in /tmp where that does not do.

    A socket's path has a limit of its own, which a long TMPDIR exceeds, and then Ray does not start.

    Raises:
        ConfigError: there is no folder with a short enough path that can be written.
    """
    named = [Path(place).absolute() for name in ("RAY_TMPDIR", "TMPDIR") if (place := os.environ.get(name))]
    places = [*named, Path("/tmp")]  # noqa: S108 - as Ray looks for it
    for folder in (place / "ray" for place in places):
        if len(os.fsencode(folder)) <= _LONGEST_FOLDER and unwritable(folder) is None:
            return str(folder)
    room, shown = _LONGEST_FOLDER - len("/ray"), " or ".join(str(place) for place in places)
    raise ConfigError(
        f"Ray cannot keep its sockets in {shown}: it takes a folder that can be written, with a path of at most {room} "
        "characters; set RAY_TMPDIR to one"
    )


def runs_here(address: str | None = None) -> bool:
    """Whether what is carried out will be on this machine alone: no cluster is named or joined already."""
    ray = sys.modules.get("ray")
    joined = ray is not None and ray.is_initialized()
    return not joined and (address or os.environ.get("RAY_ADDRESS") or "local") == "local"


def _join(address: str, quiet: dict[str, Any]) -> None:
    import ray
    from ray.exceptions import AuthenticationError, RaySystemError

    try:
        _look_for(address)
        with _loopback_as_it_is():
            ray.init(address=address, **quiet)
    except AuthenticationError as error:
        raise ConfigError(
            f"the Ray cluster at {address!r} wants a token: copy ~/.ray/auth_token from its head and set "
            "RAY_AUTH_MODE=token"
        ) from error
    # Nobody there, no such address, another version of Ray or Python: each has an exception of its own.
    except (OSError, RaySystemError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ConfigError(
            f"no Ray cluster can be joined at {address!r} ({why}): start one with `ray up ray_cluster.yaml` and run "
            "this on its head, or leave out --cluster and RAY_ADDRESS to use this machine alone; "
            "see docs/tutorials/cluster.md"
        ) from error


def _look_for(address: str) -> None:
    """Make sure that somebody listens at HOST:PORT; other kinds of address are Ray's to look up. Raises OSError."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that come while Ray starts are obeyed when it has; a second one at once.

    Ray takes SIGTERM for itself, to end the process where a run would be stored, and some of its code swallows what a
    handler raises. Whoever handled a signal does so afterwards too; where nobody handles SIGTERM, it ends the process
    by an exit, which ends Ray first.
    """
    from ray._private import utils

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if number in came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING_SIGNALS)}
    taken = {number: handler for number, handler in before.items() if handler not in {signal.SIG_IGN, None}}
    set_sigterm_handler = utils.set_sigterm_handler
    for number in taken:
        signal.signal(number, wait)
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_sigterm_handler
        for number, handler in taken.items():
            signal.signal(number, _exit if (number, handler) == (signal.SIGTERM, signal.SIG_DFL) else handler)
        for number in came:
            signal.raise_signal(number)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(number)
