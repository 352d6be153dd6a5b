"""Curves as geometry: where the points, lines and ticks of a drawing lie. Templates turn it into SVG.

Not for numbers: beside every curve stands a table that says them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

WIDTH: Final = 480
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 30
MOST_POINTS: Final = 240
"""Points of one curve; of more, neighbours are averaged."""
_LEAST: Final = 1e-300
"""By which two values have to differ to be told apart; of less, floating point makes no scale."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with its interval, if it has one."""

    x: float
    y: float
    low: float | None
    high: float | None
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of WIDTH by HEIGHT."""

    title: str
    description: str
    x_name: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    curves: list[str]
    """The `points` of one polyline each."""
    marks: list[Mark] = field(default_factory=list)
    parity: float | None = None
    """Where as many are lost as are not, on an axis of shares."""

    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval."""

    name: str
    value: float
    low: float
    high: float
    kind: str
    """What the mark is styled by."""


def rate_chart(rates: Sequence[Rate], title: str, x_name: str) -> Chart:
    """Shares between 0 and 1 in a row, each with its interval. Needs at least one."""
    return rates_chart({"": rates}, title, x_name)


def rates_chart(series: Mapping[str, Sequence[Rate]], title: str, x_name: str) -> Chart:
    """Several rows of shares by the rows' names, those of one name above each other. Needs at least one share."""
    names = [rate.name for rates in series.values() for rate in rates]
    if len(series) > 1:
        names = list(dict.fromkeys(names))
    apart = min(0.12, 0.6 / len(series))

    def x(row: int, place: int, name: str) -> float:
        column = place if len(series) == 1 else names.index(name)
        return _spread((column + 0.5 + apart * (row - (len(series) - 1) / 2)) / len(names))

    step = math.ceil(len(names) / 16)
    every = [
        (x(row, place, rate.name), of, rate)
        for row, (of, rates) in enumerate(series.items())
        for place, rate in enumerate(rates)
    ]
    said = [f"{of} {rate.name}".strip() for _, of, rate in every]
    shares = [f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})" for _, _, rate in every]
    return Chart(
        title=title,
        description=", ".join(f"{name} {share}" for name, share in zip(said[:16], shares, strict=False)),
        x_name=x_name,
        x_ticks=[
            Tick(_spread((place + 0.5) / len(names)), name) for place, name in enumerate(names) if place % step == 0
        ],
        y_ticks=[Tick(_rise(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        curves=[
            _points([(x(row, place, rate.name), _rise(rate.value)) for place, rate in enumerate(rates)])
            for row, rates in enumerate(series.values())
        ],
        marks=[
            Mark(at, _rise(rate.value), _rise(rate.low), _rise(rate.high), f"{name}: {share}", rate.kind)
            for (at, _, rate), name, share in zip(every, said, shares, strict=True)
        ],
        parity=_rise(0.5),
    )


def line_chart(curves: Sequence[Sequence[tuple[float, float]]], title: str, x_name: str) -> Chart | None:
    """Curves over one pair of axes; None where there is no point with a finite value."""
    finite = [[(x, y) for x, y in curve if math.isfinite(y)] for curve in curves]
    every = [point for curve in finite for point in curve]
    if not every:
        return None
    x_low, x_high = _range([x for x, _ in every])
    y_low, y_high = _range([y for _, y in every])
    x_ticks, y_ticks = _round_numbers(x_low, x_high), _round_numbers(y_low, y_high)
    y_low, y_high = min(y_low, y_ticks[0]), max(y_high, y_ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        return _spread((x - x_low) / (x_high - x_low)), _rise((y - y_low) / (y_high - y_low))

    return Chart(
        title=title,
        description=f"{len(finite)} curves; values from {_short(min(y for _, y in every))} to "
        f"{_short(max(y for _, y in every))}",
        x_name=x_name,
        x_ticks=[Tick(place(x, y_low)[0], _short(x)) for x in x_ticks if x_low <= x <= x_high],
        y_ticks=[Tick(place(x_low, y)[1], _short(y)) for y in y_ticks],
        curves=[_points([place(x, y) for x, y in _thinned(curve)]) for curve in finite],
    )


def _spread(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _rise(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest value, apart even where they are next to equal."""
    low, high = min(values), max(values)
    if high - low > _LEAST:
        return low, high
    half = (abs(low) if abs(low) > _LEAST else 1) / 2
    return low - half, high + half


def _round_numbers(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from the last one at or below `low` to the first at or above `high`."""
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * nice for nice in (1, 2, 5, 10) if scale * nice >= rough)
    return [step * number for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _thinned(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(curve) / MOST_POINTS) or 1
    chunks = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
