"""An interval around an estimate: what it is, and how it is written.

Also that of inputs that all say the same. Whoever shows what was worked out before has no use for numpy, and finds none
here; resampling is in `bootstrap`.
"""

from statistics import NormalDist
from typing import Any, Final, NamedTuple

FEW: Final = 30
"""With fewer inputs than this an interval is narrower than it should be, and little can be said."""


class Interval(NamedTuple):
    """A point estimate and its percentile interval."""

    value: float
    low: float
    high: float


def unvaried(value: float, n: int, *, confidence: float, within: tuple[float, float]) -> Interval:
    """The score interval of a mean where all of n inputs gave the same value.

    At most a share z^2 / (n + z^2) of all inputs gives another, which may be as far off as a value can be. Of a rate
    this is Wilson's interval (1927), of the paired difference of two rates Tango's (1998).

    Args:
        value: What each input gave.
        n: How many inputs; at least one.
        confidence: Such as 0.95.
        within: The least and the greatest that a value could be.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    others = z * z / (n + z * z)
    least, greatest = within
    return Interval(value, value - others * (value - least), value + others * (greatest - value))


def plain(value: Any) -> Any:
    """A value as JSON has it: intervals, however deep, as `value` and `ci`."""
    if isinstance(value, Interval):
        return {"value": value.value, "ci": [value.low, value.high]}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value
