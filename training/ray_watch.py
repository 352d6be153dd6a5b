"""Seeing that what Ray cannot be without is there: its head (the GCS) and, on this machine, its raylet.

Ray itself looks for its head for a minute and then ends the process that uses it, without another word.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import psutil

from ..core.errors import RayLostError

LOOK_S = 1.0
"""How often it is looked at."""
CLUSTER_PATIENCE_S = 40.0
"""How long a cluster's head may be gone. Ray ends this process after sixty."""
_ANSWER_S = 5.0
_REST_S = 20.0
"""How long work may take to come to rest; an end waits for replies that are on their way."""
_PARTS = {"gcs_server": "its head", "raylet": "its scheduler"}

T = TypeVar("T")


async def while_ray_lives(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do work, and cancel it when Ray is lost. Where no Ray is running, none is missed.

    Raises:
        RayLostError: Ray was lost.
    """
    working, watching = asyncio.ensure_future(work()), asyncio.ensure_future(_loss())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait({working}, timeout=_REST_S)
            loss = watching.result()
            _end(loss.below)
            if not working.done() or working.cancelled() or working.exception() is not None:
                raise RayLostError(loss.why)
        return await working
    except asyncio.CancelledError:
        working.cancel()
        await asyncio.wait({working})
        raise
    finally:
        watching.cancel()


class _Loss(NamedTuple):
    """How Ray was lost, and what its scheduler had started on this machine."""

    why: str
    below: list[psutil.Process]


async def _loss() -> _Loss:
    """Wait until Ray is lost."""
    missing_s, below = 0.0, list[psutil.Process]()
    while True:
        await asyncio.sleep(LOOK_S)
        node = _node()
        if node is None:
            continue
        for name, part in _PARTS.items():
            if any(one.process.poll() is not None for one in node.all_processes.get(name, ())):
                why = (
                    f"Ray on this machine has lost {part} ({name}): everything done so far is stored; what ended it "
                    "may be in `dmesg`, as where memory ran out"
                )
                return _Loss(why, below)
        if node.all_processes:
            below = _below(node.all_processes.get("raylet", ()))
            continue
        missing_s = 0.0 if await _answers(node.gcs_address) else missing_s + LOOK_S
        if missing_s > CLUSTER_PATIENCE_S:
            why = (
                f"the head of the Ray cluster at {node.gcs_address} has not answered for {missing_s:.0f} s: everything "
                "done so far is stored; see that it runs (`ray status`)"
            )
            return _Loss(why, [])


def _below(raylets: Sequence[Any]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for raylet in raylets:
        with suppress(psutil.Error):
            found += psutil.Process(raylet.process.pid).children()
    return found


def _end(processes: Sequence[psutil.Process]) -> None:
    """End what a raylet had started; its agents would look for it but once a minute."""
    for one in processes:
        with suppress(psutil.Error):  # most end by themselves
            one.kill()


def _node() -> Any:
    """The node of the session that is used here; None where there is none."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    from ray._private import worker

    return worker._global_node


async def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), _ANSWER_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
