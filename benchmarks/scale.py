"""How a pool's throughput grows from 1 to 64 students whose engine sleeps instead of computing.

Sleeping costs no CPU, so what falls short of linear is the pool: routing, Ray's calls, and what waits for them. Each
student answers `SLOTS` requests at once, each in `SECONDS`; the pool is kept full. Linear is the throughput of one
student, measured in the same run, times their number.
"""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Collection
from contextlib import redirect_stdout
from functools import partial

from report import arguments, report

from openmic.core.errors import GenerationError
from openmic.core.records import AdapterRef, Generation, GenerationRequest, StudentSampling
from openmic.core.student_settings import StudentSettings
from openmic.training.engines.engine import EngineStats
from openmic.training.local_ray import ray_session
from openmic.training.pool.pool import StudentPool

TARGET = 0.9
SECONDS, QUICK_SECONDS = 2.0, 0.2
SLOTS = 4
ROUNDS = 4
"""Times each slot is filled while the clock runs."""
NUMBERS = (1, 2, 4, 8, 16, 32, 64)


class Sleeper:
    """An engine with `SLOTS` places, in each of which a request sleeps."""

    loaded = (0,)

    def __init__(self, seconds: float) -> None:
        self.stats = EngineStats()
        self._seconds = seconds
        self._places = asyncio.Semaphore(SLOTS)

    async def load(self, ref: AdapterRef, *, keep: Collection[int] = ()) -> None:
        """Never asked: no adapter is loaded here."""
        raise GenerationError(f"a sleeper has no adapters, and was given version {ref.version}")

    async def unload(self, version: int) -> None:
        """Never asked."""

    async def close(self) -> None:
        """Nothing is open."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Sleep, and say nothing."""
        async with self._places:
            await asyncio.sleep(self._seconds)
        return Generation(request.id, "", (0,), 1, 0, "stop", 0.0, self._seconds * 1000, f"pid-{os.getpid()}")


async def throughput(actors: int, seconds: float) -> float:
    """Requests per second through a pool of so many students, each of which answers in so many seconds."""
    settings = StudentSettings.model_validate(
        # One more than are asleep waits with each student, so that none ever waits for the driver.
        {"pool": {"actors": actors, "cpus_per_actor": 0, "max_in_flight": 2 * SLOTS}}
    )
    pool = StudentPool(settings, threads=1, build=partial(Sleeper, seconds))
    names = itertools.count()
    answered: list[float] = []

    async def ask() -> None:
        while True:
            await pool.generate(GenerationRequest(f"r{next(names)}", (), StudentSampling(), 0, 0))
            answered.append(time.monotonic())

    try:
        await pool.ready(actors)
        asking = [asyncio.ensure_future(ask()) for _ in range(actors * 2 * SLOTS)]
        await asyncio.sleep(seconds * 1.5)  # everything is in its stride by then
        began, before = time.monotonic(), len(answered)
        await asyncio.sleep(ROUNDS * seconds)
        rate = (len(answered) - before) / (time.monotonic() - began)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    finally:
        pool.close()
    return rate


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    options = arguments((__doc__ or "").splitlines()[0]).parse_args(arguments_)
    numbers, seconds = (NUMBERS[:2], QUICK_SECONDS) if options.quick else (NUMBERS, SECONDS)
    with redirect_stdout(sys.stderr), ray_session():  # Ray tells on stdout how many processes it has started
        rates = {number: asyncio.run(throughput(number, seconds)) for number in numbers}
    rows = [
        {"students": n, "requests/s": rate, "linear": rates[1] * n, "share": rate / (rates[1] * n)}
        for n, rate in rates.items()
    ]
    worst = min(float(row["share"]) for row in rows)
    parts = {"seconds_per_request": seconds, "slots": SLOTS, "requests_per_second": rates}
    report("scale", worst, "of linear", target=TARGET, rows=rows, parts=parts, as_json=options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
