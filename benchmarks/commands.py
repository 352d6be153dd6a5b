"""How long the commands take that only look at a store; most of that is the import of what they need.

Each is a process of its own, as a shell starts one, over a store with a run of many dialogues. What is set against the
target is the wall time of the slowest, the median of its runs, which means something on a quiet machine alone. The
processor's time stands beside it: other work on the machine changes that less.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from made_run import kettles, made_run, stand_in
from report import arguments, report
from scale_in_time import settings
from scripted_endpoint import scripted_endpoint

from openmic.graph.context.progress import Silent
from openmic.graph.stages.collect import collect

TARGET_S = 0.7
DIALOGUES, QUICK_DIALOGUES = 400, 8
TIMES, QUICK_TIMES = 9, 1
COMMANDS = {
    "--help": ["--help"],
    "status": ["status"],
    "runs": ["runs"],
    "transcripts list": ["transcripts", "list"],
}


async def make(home: Path, url: str, dialogues: int) -> None:
    """Make a store in `home` whose run has so many dialogues."""
    async with made_run(settings(home, url), kettles(dialogues), Silent(), ("teacher", "critic")) as context:
        stand_in(context)
        await collect(context, 1)


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and processor's seconds of one command."""
    before, began = os.times(), time.monotonic()
    asked = [sys.executable, "-m", "openmic", *command]
    subprocess.run(asked, check=True, capture_output=True, env=environment)  # noqa: S603 - our own
    wall, after = time.monotonic() - began, os.times()
    own = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return wall, own


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    options = arguments((__doc__ or "").splitlines()[0]).parse_args(arguments_)
    dialogues, times = (QUICK_DIALOGUES, QUICK_TIMES) if options.quick else (DIALOGUES, TIMES)
    os.environ.setdefault("OPENAI_API_KEY", "none")
    rows: list[dict[str, str | int | float]] = []
    with tempfile.TemporaryDirectory() as folder, scripted_endpoint() as url:
        asyncio.run(make(Path(folder), url, dialogues))
        environment = os.environ | {"OPENMIC_STORE": str(Path(folder) / "store.db")}
        # An installation has its modules compiled, and so has a checkout from its second command on.
        environment |= {"PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
        for command in COMMANDS.values():
            timed(command, environment)
        for name, command in COMMANDS.items():
            took = [timed(command, environment) for _ in range(times)]
            walls, works = [wall for wall, _ in took], [work for _, work in took]
            rows.append({"command": name, "wall s": median(walls), "CPU s": median(works), "least CPU s": min(works)})
    slowest = max(float(row["wall s"]) for row in rows)
    parts = {"dialogues": dialogues, "times": times, "commands": rows}
    report("commands", slowest, "s", target=TARGET_S, rows=rows, parts=parts, as_json=options.json, better="less")


if __name__ == "__main__":
    main(sys.argv[1:])
