"""What 20,000 dialogues of one run leave behind in the driver: memory, open files, a database, and a slower `status`.

The dialogues, the store and the client are the real ones; the critic is a scripted endpoint in a process of its own,
and the student a stand-in that answers at once. Every 2,000 dialogues it is looked at what the driver's process holds,
how large the store is, and how long `openmic status` takes beside the run, in a process of its own: all of the command,
and what it does once its modules are loaded, which is what may grow.

What is set against the target is how much memory the driver gained after the first 2,000 dialogues, as a share of what
it had then. Whoever looks at a store while it is written keeps its log from being emptied, so that is printed, too.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from made_run import AT_ONCE, kettles, made_run, stand_in
from report import arguments, report
from scripted_endpoint import scripted_endpoint

from openmic.core.config import RunConfig
from openmic.core.records import Stage
from openmic.graph.context.progress import Bar, Silent
from openmic.graph.stages.collect import collect
from openmic.store import Dialogue, LLMCall, Turn

TARGET = 0.1
DIALOGUES, EVERY = 20_000, 2_000
QUICK_DIALOGUES, QUICK_EVERY = 64, 32
_MB = 1_000_000
STATUS = """
import sys, time
from openmic.cli.app import app  # what the command loads before it looks at anything
from openmic.graph.report import run_status
from openmic.store import Store
began, worked = time.monotonic(), time.process_time()
with Store.open_readonly(sys.argv[1]) as reader:
    run_status(reader, reader.resolve_run("latest"))
print(time.monotonic() - began, time.process_time() - worked)
"""
"""What `openmic status` does, with how long it looks at the store; beside that Python takes a second to begin."""


class Looking(Silent):
    """Takes a measurement beside the dialogues whenever so many more are over."""

    def __init__(self, path: Path, every: int) -> None:
        self.rows: list[dict[str, str | int | float]] = []
        self.looks: list[asyncio.Task[None]] = []
        self._path, self._every, self._done, self._began = path, every, 0, time.monotonic()

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar that counts."""
        yield self

    def advance(self, by: int = 1) -> None:
        """So many more are over."""
        self._done += by
        if self._done % self._every == 0:
            self.looks.append(asyncio.create_task(self._look(self._done)))

    def set(self, completed: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    async def _look(self, done: int) -> None:
        row: dict[str, str | int | float] = {
            "dialogues": done,
            "minutes": (time.monotonic() - self._began) / 60,
            **held(self._path),
        }
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STATUS, str(self._path)), stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
        row["command s"] = time.monotonic() - began
        row["status s"], row["status CPU s"] = map(float, told.split())
        self.rows.append(row)
        sys.stderr.write(f"{row}\n")


def held(store: Path) -> dict[str, float]:
    """Memory and open files of this process, and how large the store's file and its log are."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    log = Path(f"{store}-wal")
    return {
        "RSS MB": pages * os.sysconf("SC_PAGE_SIZE") / _MB,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "store MB": store.stat().st_size / _MB,
        "log MB": log.stat().st_size / _MB if log.exists() else 0,
    }


def settings(home: Path, url: str) -> RunConfig:
    """Two drafts, one revision: five calls and a demonstration where nothing helps."""
    endpoint = {"model": "scripted", "base_url": url, "max_concurrency": 2 * AT_ONCE}
    return RunConfig.model_validate(
        {
            "home": home,
            "inputs": {"path": "inputs.txt"},
            "cast": {"teacher": endpoint, "critic": endpoint, "judge": endpoint},
            "dialogue": {"concurrency": AT_ONCE, "candidates": 2, "max_revisions": 1},
        }
    )


async def measure(home: Path, url: str, count: int, every: int) -> tuple[Looking, float, int]:
    """What was seen, the processor's seconds a dialogue took the driver, and the turns there are."""
    looking = Looking(home / "store.db", every)
    async with made_run(settings(home, url), kettles(count), looking, ("teacher", "critic")) as context:
        stand_in(context)
        worked = time.process_time()
        await collect(context, 1)
        worked = time.process_time() - worked
        await asyncio.gather(*looking.looks)
        store, run_id = context.store, context.run.id
        assert store.count(Dialogue, run_id=run_id, stage=Stage.COLLECT, status="finished") == count
        assert store.count(LLMCall, run_id=run_id) >= 2 * count
        return looking, worked / count, store.count(Turn, run_id=run_id)


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    options = arguments((__doc__ or "").splitlines()[0]).parse_args(arguments_)
    count, every = (QUICK_DIALOGUES, QUICK_EVERY) if options.quick else (DIALOGUES, EVERY)
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with tempfile.TemporaryDirectory() as folder, scripted_endpoint() as url:
        looking, seconds, turns = asyncio.run(measure(Path(folder), url, count, every))
    rows = sorted(looking.rows, key=lambda row: float(row["dialogues"]))
    first, last = float(rows[0]["RSS MB"]), float(rows[-1]["RSS MB"])
    parts = {
        "at_once": AT_ONCE,
        "turns": turns,
        "CPU ms/dialogue": 1000 * seconds,
        "slowest status s": max(float(row["status s"]) for row in rows),
        "looks": rows,
    }
    gained = last / first - 1
    unit = f"more memory than after {every} dialogues"
    report("scale_in_time", gained, unit, target=TARGET, rows=rows, parts=parts, as_json=options.json, better="less")


if __name__ == "__main__":
    main(sys.argv[1:])
