"""What nobody knows of a run before it: how fast its models are. Measured by an earlier run, else assumed.

Every figure has a name, by which another may be given in its place, and says where it comes from.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite

from pydantic import ValidationError

from ...core.config import RunConfig
from ...core.errors import ConfigError, StoreError
from ...core.records import UNSETTLED
from ...store import Run, Store
from ...store.speeds import MeasuredSpeeds, measured_speeds
from ...training.student.student import resolve_device
from ..context.prices import seat_key
from ..context.seats import Seat, SeatSettings, seat_model, seat_setting, seats
from .estimate import Sizing, usage_of

LATEST_RUNS = 20
"""Earlier runs that are looked through for what they measured."""
CPUS, GPU = "two CPU cores", "a GPU"
STUDENT_TOKENS_PER_S = {CPUS: 300.0, GPU: 4_900.0}
"""Of one actor with the default student; the latter is what `generate` of transformers did on an H200."""
TRAINING_TOKENS_PER_S = {CPUS: 290.0, GPU: 10_000.0}
"""The default student; nobody has measured the latter."""
OF_MAX_TOKENS = 0.5
"""Share of `max_tokens` that a student writes."""
BEGINS_S, WRITTEN_PER_S = 0.5, 60.0
"""A large model's reply: seconds until it begins, and tokens a second from then on."""
SIMULATED_S = 0.03
"""A reply of the simulated cast, beside the latency that it is told to have."""
DIALOGUE_MS = 17.0
"""Processor time of the driver for a dialogue that it holds itself: `benchmarks/dialogues.py`."""
HANDED_OVER = 0.4
"""What share of that stays with it where workers hold the dialogue, by the same benchmark's `--workers`."""
REPLIES = 12.5
"""Of a dialogue as it is there by default, the student's among them."""
DRIVER_MS = DIALOGUE_MS / REPLIES
"""For one reply."""
STORE_TURNS_PER_S = 3_600.0
"""Turns, ten in a transaction."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a forecast rests on."""

    value: float
    source: str
    """Who says so."""


Figures = Mapping[str, Figure]
"""By name; the name ends with the unit: `student.tokens_per_s`, `critic.latency_s`."""


def figures_of(config: RunConfig, sizing: Sizing, given: Mapping[str, float], *, source: str | None = None) -> Figures:
    """All figures that a forecast of a run needs.

    Args:
        config: The run's configuration.
        sizing: How much it has to do.
        given: Figures that are given, by name.
        source: A run of the same store whose figures come before those of later ones. None: the latest come first.

    Raises:
        ConfigError: no figure goes by a name that is given, or one is not more than zero.
    """
    assumed = _assumed(config, sizing)
    for name, value in given.items():
        if name not in assumed:
            raise ConfigError(f"nothing that is assumed is called {name!r}; there are {', '.join(assumed)}")
        if not (isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be a number above zero, not {value:g}")
    measured: dict[str, Figure] = {}
    for found in _earlier(config, source):
        measured = found | measured
        if assumed.keys() - given.keys() <= measured.keys():
            break
    known = measured | {name: Figure(value, "given") for name, value in given.items()}
    return {name: known.get(name) or assume() for name, assume in assumed.items()}


def latency_name(seat: Seat) -> str:
    """The figure of how long a reply of a seat takes."""
    return f"{seat_setting(seat)}.latency_s"


def training_name(objective: str) -> str:
    """The figure of how fast a student is trained for an objective, by one process."""
    return f"training.{objective}.tokens_per_s"


def on_gpu(config: RunConfig, gpus: float) -> bool:
    """Whether an actor, or a process that trains, has a GPU, as far as this machine can know."""
    return bool(gpus) or resolve_device(config.student.device).startswith("cuda")


def _assumed(config: RunConfig, sizing: Sizing) -> dict[str, Callable[[], Figure]]:
    """What is taken where nobody has measured anything, by name."""
    written = max(sizing.output, OF_MAX_TOKENS * config.settled().student.sampling.max_tokens)
    found: dict[str, Callable[[], Figure]] = {
        "student.tokens_per_s": partial(_student_speed, config),
        "student.output_tokens": partial(
            Figure,
            written,
            "assumed: as long as the input, and half of student.sampling.max_tokens at least "
            f"({UNSETTLED} where that is open)",
        ),
    }
    for objective in dict.fromkeys(("sft", config.training.objective)):
        found[training_name(objective)] = partial(_training_speed, config)
    for seat, settings in sizing.seats.items():
        found[latency_name(seat)] = partial(_latency, sizing, config, seat, settings)
    found["driver.ms_per_reply"] = partial(Figure, DRIVER_MS, "assumed: on one core of a virtual machine")
    found["store.turns_per_s"] = partial(Figure, STORE_TURNS_PER_S, "assumed: measured on one core, SQLite")
    return found


def _student_speed(config: RunConfig) -> Figure:
    served = config.student.engine == "endpoint"
    kind = GPU if served or on_gpu(config, config.student.pool.gpus_per_actor) else CPUS
    return Figure(STUDENT_TOKENS_PER_S[kind], f"assumed: a student of 135M on {kind}")


def _training_speed(config: RunConfig) -> Figure:
    kind = GPU if on_gpu(config, config.training.gpus_per_worker) else CPUS
    return Figure(TRAINING_TOKENS_PER_S[kind], f"assumed: a student of 135M on {kind}")


def _latency(sizing: Sizing, config: RunConfig, seat: Seat, settings: SeatSettings) -> Figure:
    if settings.simulated:
        return Figure(SIMULATED_S + config.cast.simulated.latency_s, "assumed: the simulated cast on this machine")
    asked = [requests for requests in sizing.requests if (requests.kind, requests.seat) == ("likely", seat)]
    calls = sum(requests.calls for requests in asked)
    length = usage_of(asked).output / calls if calls else 0.0
    why = f"assumed: {BEGINS_S:g} s, and a second for {WRITTEN_PER_S:g} tokens"
    return Figure(BEGINS_S + length / WRITTEN_PER_S, why)


def _earlier(config: RunConfig, source: str | None) -> Iterator[dict[str, Figure]]:
    """What earlier runs of the same store measured that holds for this one, run by run."""
    with suppress(StoreError), Store.open_readonly(config.store_url) as reader:  # there need not be one
        runs = reader.select(Run, order_by="-created_at", limit=LATEST_RUNS)
        for run in [reader.resolve_run(source), *runs] if source is not None else runs:
            with suppress(ValidationError):  # written by an openmic with other keys
                before = RunConfig.model_validate(run.config)
                yield _alike(config, before, measured_speeds(reader, run.id), run.id)


def _alike(config: RunConfig, before: RunConfig, speeds: MeasuredSpeeds, run_id: str) -> dict[str, Figure]:
    """What of a run's speeds says anything about one with another configuration."""
    found: dict[str, Figure] = {}
    source = f"measured in run {run_id}"
    same_device = before.student.device == config.student.device
    if _weigh(before) == _weigh(config) and same_device:
        for objective, tokens_per_s in speeds.training_tokens_per_s.items():
            found[training_name(objective)] = Figure(tokens_per_s / before.training.workers, source)
        if before.student.engine == config.student.engine and (student := speeds.student) is not None:
            at_once = f"{source}, {student.at_once:.0f} requests at once"
            found["student.tokens_per_s"] = Figure(student.tokens_per_s, at_once)
            sampling = before.student.sampling
            if sampling == config.student.sampling.settled(sampling.max_tokens):
                found["student.output_tokens"] = Figure(student.output_tokens, source)
    sat = seats(before.cast)
    for seat, settings in seats(config.cast).items():
        seconds = speeds.latency_s.get(seat_key(seat))
        if seconds is not None and seat in sat and _who(config, seat, settings) == _who(before, seat, sat[seat]):
            found[latency_name(seat)] = Figure(seconds, source)
    return found


def _weigh(config: RunConfig) -> tuple[object, ...]:
    """What of the student's weights decides how fast it is."""
    student = config.student
    return student.model, student.dtype, student.quantization


def _who(config: RunConfig, seat: Seat, settings: SeatSettings) -> tuple[object, ...]:
    """Who sits somewhere, and where it is asked."""
    simulated = config.cast.simulated.latency_s if settings.simulated else None
    return seat_model(seat, settings), settings.base_url, settings.reasoning_effort, simulated
