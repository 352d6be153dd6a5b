"""How a pool's throughput grows from 1 to 64 students that sleep, and whether the capacity model foresees it.

Sleeping costs no CPU, so what falls short of linear is the pool: routing, Ray's calls, and what waits for them. Each
student answers `SLOTS` requests at once, each in `SECONDS`; the pool is kept full. Linear is the throughput of one
student, measured in the same run, times their number.

Students that sleep for `BRIEF_SECONDS` alone keep this machine's processors so busy that those are the bound. What a
request costs them, in the driver, in Ray and in the students' processes together, is measured with `FEW` students; from
that and the sleep the model foresees the rest, on the processors that other programs leave; the error stands beside it.
What Ray's processes cost at rest it does not know: many of them on few processors answer fewer than it foresees.
"""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Collection
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial

import psutil
from report import Cell, arguments, report

from openmic.core.errors import GenerationError
from openmic.core.records import AdapterRef, Generation, GenerationRequest, StudentSampling
from openmic.core.student_settings import StudentSettings
from openmic.graph.preflight.scaling import Speeds, Stage, forecast
from openmic.training.engines.engine import EngineStats
from openmic.training.local_ray import ray_session
from openmic.training.pool.pool import StudentPool

TARGET = 0.9
SECONDS, QUICK_SECONDS = 2.0, 0.2
BRIEF_SECONDS, BRIEF_FOR_S = 0.1, 8.0
"""How long such students sleep, and how long they are watched."""
FEW, MANY = 4, 32
"""Of them."""
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


@dataclass(frozen=True, slots=True)
class Measured:
    """What a pool of so many students did."""

    students: int
    seconds: float
    """That a request sleeps."""
    rate: float
    """Requests a second."""
    cpu_s: float
    """Processor seconds of the driver, Ray and the students for a request."""
    processors: float
    """How many they had, or could have had: the time they worked and the time nobody did, over the time that passed."""

    def foreseen(self, cpu_s: float) -> tuple[float, str]:
        """Requests a second by the capacity model, and their bound, where one costs the processors so much."""
        requests = 1_000_000
        stage = Stage(
            name="requests",
            items=requests,
            at_once=self.students * 2 * SLOTS,
            generations=requests,
            generated_tokens=requests,  # one each
        )
        speeds = Speeds(
            actors=self.students,
            student_tokens_per_s=SLOTS / self.seconds,
            driver_s_per_reply=cpu_s / self.processors,
        )
        found = forecast([stage], speeds)
        return requests / found.seconds, "processors" if found.bound == "driver" else found.bound


def processor_s() -> float:
    """Seconds that processors have worked for this process and those it has started, Ray's included."""
    own = psutil.Process()
    times = [process.cpu_times() for process in [own, *own.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))


async def throughput(actors: int, seconds: float, for_s: float) -> Measured:
    """What a pool does whose students answer in so many seconds each, watched for `for_s`."""
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
        began, worked, idle, before = time.monotonic(), processor_s(), psutil.cpu_times().idle, len(answered)
        await asyncio.sleep(for_s)
        count, took_s, worked = len(answered) - before, time.monotonic() - began, processor_s() - worked
        processors = (worked + psutil.cpu_times().idle - idle) / took_s
        measured = Measured(actors, seconds, count / took_s, worked / max(1, count), processors)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    finally:
        pool.close()
    return measured


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    options = arguments((__doc__ or "").splitlines()[0]).parse_args(arguments_)
    numbers: tuple[int, ...] = NUMBERS[:2] if options.quick else NUMBERS
    seconds, for_s = (QUICK_SECONDS, ROUNDS * QUICK_SECONDS) if options.quick else (SECONDS, BRIEF_FOR_S)
    with redirect_stdout(sys.stderr), ray_session():  # Ray tells on stdout how many processes it has started
        long = [asyncio.run(throughput(number, seconds, ROUNDS * seconds)) for number in numbers]
        brief = [
            asyncio.run(throughput(number, BRIEF_SECONDS, for_s)) for number in (FEW, FEW if options.quick else MANY)
        ]
    cpu_s = brief[0].cpu_s
    rows: list[dict[str, Cell]] = []
    errors = dict[str, float]()
    for measured in [*long, *brief]:
        linear = long[0].rate * measured.students * seconds / measured.seconds
        rate, bound = measured.foreseen(cpu_s)
        error = 100 * (rate / max(measured.rate, 1e-9) - 1)
        errors[f"{measured.students} that sleep {measured.seconds:g} s"] = error
        rows.append(
            {
                "students": measured.students,
                "sleep s": measured.seconds,
                "requests/s": measured.rate,
                "linear": linear,
                "share": measured.rate / linear,
                "processors": measured.processors,
                "foreseen": rate,
                "bound": bound,
                "error %": f"{error:+.1f}",
            }
        )
    worst = min(measured.rate / (long[0].rate * measured.students) for measured in long)
    parts = {
        "seconds_per_request": seconds,
        "slots": SLOTS,
        "requests_per_second": {measured.students: measured.rate for measured in long},
        "processor_ms_per_request": 1000 * cpu_s,
        "errors_percent": errors,
    }
    report("scale", worst, "of linear", target=TARGET, rows=rows, parts=parts, as_json=options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
