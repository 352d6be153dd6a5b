"""The `openmic` command with students that are killed at three moments of a run; run as a program in place of it.

- In the rehearsal one student is killed right after it was sent a request.
- Later in the rehearsal, once both serve again, both are killed right after one was sent a request.
- The first student that is sent the round's adapter is killed right after.

What was killed goes to the file that the environment names, one JSON object a line.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Collection
from pathlib import Path
from typing import Any

import ray

from openmic.cli.app import main
from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.training.pool.replica import LOST, Replica

from .waiting import until
from .warm_workers import starting_warm

JOURNAL = "KILLING_JOURNAL"
ONE, ALL = 4, 9
"""Which of the requests to adapter version 1 the kills follow."""
ROUND_S_ADAPTER = 2

send = Replica.generate
load = Replica.load_adapter
replicas: set[Replica] = set()
moments: list[str] = []


def pid_of(replica: Replica) -> int:
    actor = ray._private.state.actors(replica._actor._actor_id.hex())
    return int(actor["Pid"])


def note(kill: dict[str, Any]) -> None:
    with Path(os.environ[JOURNAL]).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(kill) + "\n")


async def with_kill(moment: str, call: Awaitable[Any], victims: list[Replica]) -> Any:
    """What a call says whose students are killed once it is on its way."""
    pids = [pid_of(victim) for victim in victims]
    sent = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    lost = False
    try:
        return await sent
    except LOST:
        lost = True
        raise
    finally:
        moments.append(f"{moment} is over")
        note({"moment": moment, "killed": pids, "lost": lost})


async def generate(self: Replica, request: GenerationRequest) -> Generation:
    if request.adapter == 1:
        moments.append("request")
    if moments.count("request") >= ONE and "one" not in moments:
        moments.append("one")
        return await with_kill("one", send(self, request), [self])  # type: ignore[no-any-return]  # as call says
    if moments.count("request") >= ALL and "all" not in moments:
        moments.append("all")
        await until(lambda: "one is over" in moments and all(replica.serving for replica in replicas), 300)
        return await with_kill("all", send(self, request), [*replicas])  # type: ignore[no-any-return]  # as call says
    return await send(self, request)


async def load_adapter(self: Replica, ref: AdapterRef, *, keep: Collection[int]) -> None:
    replicas.add(self)
    call = load(self, ref, keep=keep)
    if ref.version == ROUND_S_ADAPTER and "load" not in moments:
        moments.append("load")
        await with_kill("load", call, [self])
    else:
        await call


if __name__ == "__main__":
    Replica.generate, Replica.load_adapter = generate, load_adapter  # type: ignore[method-assign]  # that is the point
    with starting_warm():
        main()
