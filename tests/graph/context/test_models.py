"""The simulated cast in the midst of a run: a real process, really killed."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from openmic.core.config import CastSettings
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.graph.context.models import open_models

from ...waiting import until


def servers() -> list[psutil.Process]:
    """The processes that serve a cast for this one."""
    me = psutil.Process()
    return [child for child in me.children() if child.is_running() and "simulate" in child.cmdline()]


@pytest.mark.slow
def test_a_cast_that_is_killed_is_started_again_and_costs_no_reply(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "log.jsonl"
    before = set(servers())  # casts of other tests in this process

    async def run() -> list[LLMReply]:
        async with open_models(CastSettings(), 7, log, roles=("teacher",), tell=lines.append) as clients:
            client = clients["teacher", 0]
            [server] = set(servers()) - before
            os.kill(server.pid, signal.SIGKILL)
            asking = [
                client.complete(
                    LLMRequest(
                        "teacher",
                        "sim-teacher",
                        (Message(role="user", content=f"Write exactly 1.\n<sentence>Bus {n} left.</sentence>"),),
                        Sampling(),
                        seed=n,
                    )
                )
                for n in range(8)
            ]
            replies = await asyncio.gather(*asking)
            await until(lambda: any("started again" in line for line in lines))
            return replies

    assert all(reply.text for reply in asyncio.run(run()))
    assert any("the simulated cast ended by signal 9, and was started again" in line for line in lines)
    assert len(log.read_text().splitlines()) == 8
    assert set(servers()) <= before
