"""How fast a store of a million turns gives back what lists, readers, searches and pages ask for.

Each kind of reading is done for other runs, dialogues, filters and words each time, one after the other. Memory is
that of this process, which writes and then serves; it is to be no larger for the whole store than for its first tenth.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import psutil
from made_transcripts import DIALOGUES_OF_A_RUN, INPUTS, ROUNDS, TURNS_OF_A_DIALOGUE, Texts, groups
from report import arguments, percentile, report
from sqlmodel import SQLModel

from openmic.core.ids import derive_id
from openmic.core.records import Agent, Stage
from openmic.store import Dialogue, ExampleRow, Store
from openmic.store.dialects.location import is_postgresql
from openmic.store.search.filters import DialogueFilter
from openmic.store.search.search import search
from openmic.viewer.app import create_app

TARGET_MS = 200.0
TARGET_GROWTH = 1.25
"""Memory at the end over memory at a tenth."""
TURNS, QUICK_TURNS = 1_000_000, 2_000
ROWS_AT_ONCE = 20_000
"""In a transaction, while the store is made."""
REQUESTS, QUICK_REQUESTS = 60, 2
Row = dict[str, str | int | float]


class Memory:
    """The most memory this process has held at once, in MB; asked every few milliseconds."""

    def __init__(self) -> None:
        self.most = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._ended.wait(0.02):
            self.most = max(self.most, process.memory_info().rss / 1e6)

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()


def write(store: Store, turns: int, texts: Texts, memory: Memory) -> dict[str, float]:
    """Write so many turns; returns the most memory, in MB, at a tenth and at the end."""
    dialogues, early = 0, 0.0
    waiting: list[SQLModel] = []
    for group in groups(turns, texts):
        waiting += group
        if len(waiting) >= ROWS_AT_ONCE:
            store.add(*waiting)
            waiting = []
        dialogues += isinstance(group[0], Dialogue)
        if not early and dialogues * TURNS_OF_A_DIALOGUE >= turns // 10:
            early = memory.most
    store.add(*waiting)
    return {"at a tenth": early, "writing": memory.most}


class Place:
    """Something to read, another each time."""

    def __init__(self, store: Store, turns: int, texts: Texts) -> None:
        self.texts = texts
        self._random = random.Random(3)  # noqa: S311 - nothing is secret
        self._dialogues = turns // TURNS_OF_A_DIALOGUE
        self._examples = [row.id for row in store.select(ExampleRow, limit=INPUTS)]

    def number(self) -> int:
        """The place of a dialogue among all."""
        return self._random.randrange(self._dialogues)

    def run(self) -> str:
        """A run."""
        return f"RUN{self.number() // DIALOGUES_OF_A_RUN}"

    def dialogue(self) -> str:
        """A dialogue."""
        number = self.number()
        return derive_id(f"RUN{number // DIALOGUES_OF_A_RUN}", number % DIALOGUES_OF_A_RUN)

    def turn(self) -> str:
        """A turn."""
        return derive_id(self.dialogue(), self._random.randrange(TURNS_OF_A_DIALOGUE))

    def version(self) -> int:
        """A version that spoke in every run."""
        return self._random.randrange(ROUNDS)

    def example(self) -> str:
        """An input."""
        return self._random.choice(self._examples)


def readings(store: Store, place: Place) -> dict[str, Callable[[], object]]:
    """What the commands ask of the store."""

    def listing(make: Callable[[], DialogueFilter], **options: Any) -> Callable[[], object]:
        return lambda: store.dialogues(place.run(), make(), limit=21, **options)

    lists = {
        "all": listing(DialogueFilter),
        "stage, status": listing(lambda: DialogueFilter(stage=Stage.COLLECT, status="finished")),
        "round, reason": listing(lambda: DialogueFilter(round=1 + place.version(), stop_reason="accepted")),
        "agent": listing(lambda: DialogueFilter(agent=Agent.CRITIC)),
        "nobody": listing(lambda: DialogueFilter(agent=Agent.TEACHER)),
        "adapter": listing(lambda: DialogueFilter(adapter_version=place.version())),
        "verdict": listing(lambda: DialogueFilter(verdict="tie")),
        "no verdict": listing(lambda: DialogueFilter(verdict="inconsistent")),
        "tag": listing(lambda: DialogueFilter(tag="funny")),
        "text": listing(lambda: DialogueFilter(text=place.texts.query())),
        "newest": listing(DialogueFilter, order="-started"),
        "by input": listing(DialogueFilter, order="input"),
        "by turns": listing(DialogueFilter, order="-turns"),
    }
    return {
        **{f"list: {name}": asked for name, asked in lists.items()},
        "show": lambda: store.conversation(place.dialogue()),
        "search: all runs": lambda: search(store, place.texts.query()),
        "search: one run": lambda: search(store, place.texts.query(), run_id=place.run()),
        "search: the commonest": lambda: search(store, place.texts.words[0]),
    }


def addresses(place: Place) -> dict[str, Callable[[], str]]:
    """The pages of the viewer."""
    return {
        "page: runs": lambda: "/",
        "page: run": lambda: f"/runs/{place.run()}",
        "page: run, live": lambda: f"/runs/{place.run()}/live",
        "page: dialogues": lambda: f"/runs/{place.run()}/dialogues?verdict=win&round={1 + place.version()}",
        "page: dialogues, text": lambda: f"/runs/{place.run()}/dialogues?text={place.texts.query().replace(' ', '+')}",
        "page: dialogue": lambda: f"/dialogues/{place.dialogue()}",
        "page: next within": lambda: f"/dialogues/{place.dialogue()}?verdict=tie",
        "page: compare": lambda: f"/runs/{place.run()}/compare?example={place.example()}&a=0&b=1",
        "page: turn": lambda: f"/turns/{place.turn()}",
        "page: adapter": lambda: f"/adapters/{place.run()}/{1 + place.version()}",
        "page: search": lambda: f"/search?q={place.texts.query().replace(' ', '+')}",
        "page: export": lambda: f"/runs/{place.run()}/export",
    }


def timed(ask: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each time."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        found.append(1000 * (time.perf_counter() - began))
    return found


async def timed_pages(url: str, pages: dict[str, Callable[[], str]], times: int) -> dict[str, list[float]]:
    """Milliseconds of each request, by page, without a network between."""
    found: dict[str, list[float]] = {}
    app = create_app(url)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        for name, address in pages.items():
            found[name] = []
            for _ in range(times):
                began = time.perf_counter()
                answer = await client.get(address())
                found[name].append(1000 * (time.perf_counter() - began))
                assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:300]}"
    return found


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, help=f"default: {TURNS:,}")
    parser.add_argument("--url", help="an empty PostgreSQL database; default: a file of SQLite's")
    options = parser.parse_args(arguments_)
    turns = options.turns or (QUICK_TURNS if options.quick else TURNS)
    times = QUICK_REQUESTS if options.quick else REQUESTS
    texts, memory = Texts(), Memory()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or str(Path(folder) / "store.db")
        with Store.open(url) as store:
            written = write(store, turns, texts, memory)
            if is_postgresql(store.address):
                with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql("ANALYZE")  # as autovacuum would in time
        with Store.open_readonly(url) as reader:
            place = Place(reader, turns, texts)
            took = {name: timed(ask, times) for name, ask in readings(reader, place).items()}
            took |= asyncio.run(timed_pages(url, addresses(place), times))
    memory.end()
    rows: list[Row] = [
        {"reading": name, "p50 ms": percentile(values, 0.5), "p95 ms": percentile(values, 0.95), "most": max(values)}
        for name, values in took.items()
    ]
    slowest = max(float(row["p95 ms"]) for row in rows)
    growth = memory.most / written["at a tenth"] if written["at a tenth"] else 1.0
    rows.append(
        {"reading": f"memory: {memory.most:,.0f} MB, {growth:.2f} of a tenth's", "p50 ms": "", "p95 ms": "", "most": ""}
    )
    met = slowest <= TARGET_MS and growth <= TARGET_GROWTH
    parts = {
        "turns": turns,
        "p95_ms": {str(row["reading"]): row["p95 ms"] for row in rows[:-1]},
        "rss_mb": {**written, "most": memory.most},
    }
    report(
        "store", slowest, "ms", target=TARGET_MS, rows=rows, parts=parts, as_json=options.json, better="less", met=met
    )


if __name__ == "__main__":
    main(sys.argv[1:])
