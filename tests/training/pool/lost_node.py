"""A pool on a cluster one of whose nodes is cut off for good; run as a program, since a process joins one cluster.

A node is cut off by stopping its processes: they live, and nobody hears of them. What was seen goes to a file, as JSON.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from openmic.core.records import AdapterRef
from openmic.core.student_settings import StudentSettings
from openmic.training.pool.pool import StudentPool

from ...waiting import until
from .cheap_engine import asked, cheap, notes, writers

SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_timeout_ms": 1000}
"""So that a node that is lost is noticed within seconds."""
PATIENCE_S = 60.0


def stop(node: Any, workers: list[int]) -> list[int]:
    """Cut a node off; returns the processes that were stopped."""
    [raylet] = node.all_processes["raylet"]
    pids = [raylet.process.pid, *workers]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


async def scenario(cluster: Any, hosts: list[Any], diary: Path) -> dict[str, Any]:
    settings = {"actors": 2, "cpus_per_actor": 0, "resources": {"student": 1}}
    student = StudentSettings.model_validate({"pool": settings})
    pool = StudentPool(student, threads=1, build=cheap(diary), tick_s=0.05)
    seen: dict[str, Any] = {}
    try:
        await pool.ready(2)
        seen["student resources left"] = ray.available_resources().get("student", 0)
        await pool.load_adapter(AdapterRef(1, "one"))
        where = {actor["Address"]["NodeID"]: actor["Pid"] for actor in ray._private.state.actors().values()}
        assert len(where) == 2, "the students share a node"
        running = [asyncio.ensure_future(pool.generate(asked(f"r{i}", 1.0))) for i in range(10)]
        await until(lambda: pool.stats().in_flight == len(running))
        lost = where[hosts[0].node_id]
        stopped = stop(hosts[0], [lost])
        found = await asyncio.wait_for(asyncio.gather(*running), PATIENCE_S)
        seen["answered"] = sorted(each.request_id for each in found)
        seen["answered by the lost one"] = sum(each.worker == f"pid-{lost}" for each in found)
        seen["serving"] = pool.stats().serving
        await asyncio.wait_for(pool.load_adapter(AdapterRef(2, "two")), PATIENCE_S)
        seen["after"] = (await pool.generate(asked("after", adapter=2))).adapter_version
        for pid in stopped:  # the link is back, and what the old process says comes too late
            os.kill(pid, signal.SIGCONT)
        again = await asyncio.gather(*(pool.generate(asked(f"s{i}", 0.1)) for i in range(4)))
        seen["workers meanwhile"] = len({each.worker for each in again})
        cluster.add_node(num_cpus=1, resources={"student": 1})
        await until(lambda: pool.stats().serving == 2, PATIENCE_S)
        [newcomer] = set(writers(diary, "started")) - set(where.values())
        seen["the newcomer loads"] = notes(diary, "loaded", of=newcomer)
        late = await asyncio.gather(*(pool.generate(asked(f"t{i}", 0.1, adapter=2)) for i in range(4)))
        seen["versions at last"] = sorted({each.adapter_version for each in late})
        seen["workers at last"] = len({each.worker for each in late})
    finally:
        pool.close()
    return seen


def main(diary: Path, report: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": SOON})
    try:
        hosts = [cluster.add_node(num_cpus=1, resources={"student": 1}) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        report.write_text(json.dumps(asyncio.run(scenario(cluster, hosts, diary))), encoding="utf-8")
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
