"""How near dialogues come to the bound that the large models' latency sets, with 64 of them at once.

The dialogues, the store, the client and the critic behind HTTP (a process of its own) are the real ones. The student is
a stand-in in this process that answers at once: neither it nor its pool is measured. What falls short of the bound is
what the driver does between two replies, in one thread. What it costs stands beside the share: its processor time for a
dialogue, and how much of the time it was at work. Where that is near 1, the processor is the bound and not the latency.

`--workers 1,2,4` has the dialogues held by so many workers, one count after another, and adds their processor time.
What bounds them is what all processes of the machine have together: workers, driver, critic and Ray's own.

A dialogue's path is the number of replies it waits for one after the other; both orders of a comparison are asked at
once and count as one. The bound is the time that the very dialogues of the run would take, begun in their order on 64
places, if nothing but latency took time.
"""

import asyncio
import heapq
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import psutil
from made_run import AT_ONCE, kettles, made_run, stand_in
from report import arguments, report

from openmic.core.config import RunConfig
from openmic.core.records import Stage, TurnKind
from openmic.graph.context.progress import Silent
from openmic.graph.stages.collect import collect
from openmic.graph.workers.workers import DialogueWorkers
from openmic.store import Dialogue, LLMCall, Store, Turn, VerdictRow
from openmic.training.local_ray import ray_session

TARGET = 0.9
LATENCIES_S = (0.2, 1.0)
DIALOGUES = 10 * AT_ONCE


def settings(home: Path, latency_s: float, workers: int) -> RunConfig:
    """The defaults, with as many calls at once as the dialogues make."""
    endpoint = {"max_concurrency": 2 * AT_ONCE}
    return RunConfig.model_validate(
        {
            "home": home,
            "inputs": {"path": "inputs.txt"},
            "cast": {"teacher": endpoint, "critic": endpoint, "simulated": {"latency_s": latency_s}},
            "dialogue": {"concurrency": AT_ONCE, "workers": workers},
        }
    )


class Measured(NamedTuple):
    """What so many dialogues took."""

    seconds: float
    driver_s: float
    """Of this process's processor time."""
    workers_s: float
    """Of all workers'."""
    paths: list[int]


async def measure(home: Path, latency_s: float, count: int, workers: int) -> Measured:
    """Hold so many dialogues."""
    async with made_run(settings(home, latency_s, workers), kettles(count), Silent()) as context:
        stand_in(context)
        if workers > 1:
            context.holder = holder = DialogueWorkers(context)
            await holder.ready()
        began, worked, others = time.monotonic(), time.process_time(), of_workers_s()
        await collect(context, 1)
        ended, done, theirs = time.monotonic(), time.process_time(), of_workers_s()
        return Measured(ended - began, done - worked, theirs - others, paths(context.store, context.run.id))


def of_workers_s() -> float:
    """Seconds of processor time of all workers so far."""
    below: list[psutil.Process] = psutil.Process().children(recursive=True)
    times = [one.cpu_times() for one in below if one.name().startswith("ray::Dialogue")]
    return float(sum(time.user + time.system for time in times))


def paths(store: Store, run_id: str) -> list[int]:
    """The path of each dialogue, in the order they were begun in."""
    dialogues = store.select(Dialogue, run_id=run_id, stage=Stage.COLLECT, order_by="started_at")
    assert {row.status for row in dialogues} == {"finished"}
    found = dict.fromkeys((row.id for row in dialogues), 0)
    asked = 0
    for verdict in store.select(VerdictRow, run_id=run_id):
        found[verdict.dialogue_id] += 1
        asked += 2
    for turn in store.select(Turn, run_id=run_id, kind=[TurnKind.CRITIQUE, TurnKind.DEMONSTRATION]):
        found[turn.dialogue_id] += 1
        asked += 1
    assert asked == store.count(LLMCall, run_id=run_id), "nothing was asked twice, so that the paths are right"
    return list(found.values())


def ideal_seconds(lengths: Sequence[int], latency_s: float) -> float:
    """How long the dialogues take on `AT_ONCE` places where only latency takes time."""
    places = [0.0] * AT_ONCE
    for length in lengths:
        heapq.heapreplace(places, places[0] + length * latency_s)
    return max(places)


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", default="1", help="how many workers, or several counts (1,2,4), at 0.2 s")
    options = parser.parse_args(arguments_)
    counts = [int(one) for one in options.workers.split(",")]
    several = max(counts) > 1
    trials = [(latency_s, 1) for latency_s in LATENCIES_S[: 1 if options.quick else None]]
    rows: list[dict[str, str | int | float]] = []
    for latency_s, workers in [(LATENCIES_S[0], workers) for workers in counts] if several else trials:
        ray = ray_session(minimum_cpus=max(counts)) if workers > 1 else nullcontext()
        with tempfile.TemporaryDirectory() as folder, ray:
            count = AT_ONCE if options.quick else DIALOGUES
            found = asyncio.run(measure(Path(folder), latency_s, count, workers))
        seconds, cpu_seconds, lengths = found.seconds, found.driver_s, found.paths
        path, ideal = sum(lengths) / len(lengths), ideal_seconds(lengths, latency_s)
        rows.append(
            {
                **({"workers": workers, "workers' CPU ms/dialogue": 1000 * found.workers_s / count} if several else {}),
                "latency s": latency_s,
                "dialogues": len(lengths),
                "path": path,
                "dialogues/s": len(lengths) / seconds,
                "bound": len(lengths) / ideal,
                "share": ideal / seconds,
                "CPU ms/dialogue": 1000 * cpu_seconds / len(lengths),
                "CPU share": cpu_seconds / seconds,
            }
        )
    worst = min(float(row["share"]) for row in rows)
    parts = {"at_once": AT_ONCE, "student": "a stand-in that answers at once", "latencies": rows}
    report("dialogues", worst, "of the bound", target=TARGET, rows=rows, parts=parts, as_json=options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
