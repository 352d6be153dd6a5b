"""A capacity model: what bounds a run, how long it takes, what it costs. One pure function over plain numbers.

Stages follow one another. Within a stage everything works at once, so it takes as long as whatever has the most to do
for its speed: an endpoint, the student, the driver, the store, or the places in which items wait for their replies.
These are the asymptotic bounds of a closed queueing network: nothing is faster, and near the point where two bounds
meet it is slower. What goes wrong, and what starting and ending take, comes on top.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpeed:
    """How fast one seat's model answers, and how often it may be asked."""

    latency_s: float
    """Mean seconds from a request to its reply."""
    max_concurrency: int
    """Requests in flight at once."""
    requests_per_minute: float | None = None
    """None: no limit."""
    tokens_per_minute: float | None = None
    """Of prompts and of the most that replies may have. None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How fast everything is that a run works with. Rates are more than zero; by default nothing takes any time."""

    endpoints: Mapping[str, EndpointSpeed] = field(default_factory=dict)
    """By seat; of every seat that a stage asks."""
    actors: int = 1
    """Of the student."""
    student_tokens_per_s: float = inf
    """Tokens that one actor generates a second while it has enough to do."""
    trainers: int = 1
    """Processes that train together."""
    training_tokens_per_s: Mapping[str, float] = field(default_factory=dict)
    """Tokens, prompts included, that one of them learns from a second, by objective."""
    workers: int = 1
    """Event loops that hold dialogues."""
    driver_s_per_reply: float = 0.0
    """Processor seconds that one of them spends on a reply of any model, the student's included."""
    handed_over: float = 0.0
    """What share of that stays with the driver where several others hold the dialogues."""
    store_turns_per_s: float = inf
    """Turns that the store takes a second, with all that is written beside them."""
    bytes_per_turn: float = 0.0
    """Of the store, indexes and all that is written beside a turn included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a stage asks of one seat, in all."""

    calls: float
    tokens: float = 0.0
    """As a limit of tokens counts them: prompts, and the most that replies may have."""
    usd: float | None = 0.0
    """None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a run has to do before it does anything else, once."""

    name: str
    times: int = 1
    """How often it is gone through."""
    items: int = 0
    """Inputs, each of which waits for its replies one after the other."""
    at_once: int = 1
    """Items that do so at once."""
    waits: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    """How often an item waits for replies that several seats are asked for together."""
    asked: Mapping[str, Asked] = field(default_factory=dict)
    """By seat."""
    generations: float = 0.0
    """Texts of the student, of all items."""
    generated_tokens: float = 0.0
    """Tokens of all these texts."""
    trained_tokens: Mapping[str, float] = field(default_factory=dict)
    """Tokens that are learned from, by objective, once for each epoch."""
    turns: float = 0.0
    """Turns that are written to the store."""
    by_workers: bool = False
    """Whether all event loops take part; else the driver's alone does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long a stage takes, all its times together."""

    stage: str
    seconds: float
    bound: str
    """What it waits for: the name of the largest of `bounds`."""
    bounds: Mapping[str, float]
    """Seconds that each would need if everything else took no time, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run takes at least."""

    stages: tuple[StageTime, ...]
    seconds: float
    bound: str
    """What it waits for the longest in all; empty where there is nothing to do."""
    usd: float | None
    """What endpoints charge; None where nobody knows what one of them does."""
    actor_hours: float
    """Of the student's actors, which are there from the beginning to the end."""
    trainer_hours: float
    """Likewise of the processes that train."""
    turns: float
    store_bytes: float

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object, numbers rounded to what they are worth."""
        found: dict[str, Any] = _rounded(asdict(self))
        return found

    def bound_s(self, name: str) -> float:
        """Seconds of the stages that a bound of this name bounds."""
        return sum(stage.seconds for stage in self.stages if stage.bound == name)


def forecast(stages: Sequence[Stage], speeds: Speeds) -> Forecast:
    """What bounds a run, how long it takes and what it costs.

    More work never takes less time, and more speed never takes more.
    """
    times = tuple(_timed(stage, speeds) for stage in stages if stage.times)
    seconds = sum(time.seconds for time in times)
    by_bound: dict[str, float] = {}
    for time in times:
        by_bound[time.bound] = by_bound.get(time.bound, 0.0) + time.seconds
    costs = [
        None if asked.usd is None else stage.times * asked.usd for stage in stages for asked in stage.asked.values()
    ]
    turns = sum(stage.times * stage.turns for stage in stages)
    return Forecast(
        stages=times,
        seconds=seconds,
        bound=max(by_bound, key=by_bound.__getitem__, default=""),
        usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        actor_hours=speeds.actors * seconds / HOUR_S,
        trainer_hours=speeds.trainers * seconds / HOUR_S,
        turns=turns,
        store_bytes=turns * speeds.bytes_per_turn,
    )


def _timed(stage: Stage, speeds: Speeds) -> StageTime:
    bounds = {name: stage.times * seconds for name, seconds in _bounds(stage, speeds).items() if seconds}
    bound = max(bounds, key=bounds.__getitem__, default="")  # of equal ones the first, which names a single cause
    return StageTime(stage=stage.name, seconds=bounds.get(bound, 0.0), bound=bound, bounds=bounds)


def _bounds(stage: Stage, speeds: Speeds) -> dict[str, float]:
    """Seconds that each resource needs for its share of a stage, gone through once."""
    found = {}
    for seat, asked in stage.asked.items():
        if asked.calls:
            speed = speeds.endpoints[seat]
            found[f"{seat}.max_concurrency"] = _in_places(asked.calls, speed.max_concurrency) * speed.latency_s
            found[f"{seat}.requests_per_minute"] = _under_limit(asked.calls, speed.requests_per_minute)
            found[f"{seat}.tokens_per_minute"] = _under_limit(asked.tokens, speed.tokens_per_minute)
    replies = stage.generations + sum(asked.calls for asked in stage.asked.values())
    generating_s = stage.generated_tokens / speeds.student_tokens_per_s
    driving_s = replies * speeds.driver_s_per_reply
    found["student"] = generating_s / speeds.actors
    found["trainer"] = sum(
        tokens / (speeds.trainers * speeds.training_tokens_per_s[objective])
        for objective, tokens in stage.trained_tokens.items()
    )
    several = stage.by_workers and speeds.workers > 1
    found["driver"] = driving_s * (max(1 / speeds.workers, speeds.handed_over) if several else 1)
    found["store"] = stage.turns / speeds.store_turns_per_s
    if stage.items:
        waiting_s = sum(
            often * max(speeds.endpoints[seat].latency_s for seat in together)
            for together, often in stage.waits.items()
        )
        item_s = waiting_s + (generating_s + driving_s) / stage.items
        found["places"] = _in_places(stage.items, stage.at_once) * item_s
    return found


def _in_places(number: float, places: int) -> float:
    """How often all places are filled, so many things taking one each: once at least."""
    return max(1.0, number / places)


def _under_limit(number: float, per_minute: float | None) -> float:
    """Seconds that a limit spreads something over; the first minute's share is let through at once."""
    return 0.0 if per_minute is None else MINUTE_S * max(0.0, number / per_minute - 1)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
