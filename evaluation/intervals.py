"""Bootstrap intervals over inputs: for one rate, for the paired difference of two, and for a ratio of sums.

Where every input says the same, resampling finds no doubt at all; the interval is then the score interval, which knows
how few the inputs are.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:  # whoever shows what was worked out before has no use for it, and imports it for nothing
    import numpy as np
    from numpy.typing import NDArray

FEW: Final = 30
"""With fewer inputs than this an interval is narrower than it should be, and little can be said."""
_CHUNK_CELLS = 4_000_000


class Interval(NamedTuple):
    """A point estimate and its percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_mean(
    values: Sequence[float],
    *,
    confidence: float,
    samples: int,
    seed: int,
    within: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """The mean of per-input values with a percentile bootstrap interval (Efron 1979), resampling inputs.

    Args:
        values: One number per input; at least one.
        confidence: Such as 0.95.
        samples: How many resamples.
        seed: Makes the interval reproducible.
        within: The least and the greatest that a value could be; where all values are alike the interval is
            `unvaried`'s.
    """
    import numpy as np

    data = np.asarray(values, dtype=np.float64)
    assert data.ndim == 1
    assert data.size > 0
    if data.min() == data.max():
        return unvaried(float(data[0]), data.size, confidence=confidence, within=within)
    generator = np.random.default_rng(seed)
    means = []
    rows = max(1, _CHUNK_CELLS // data.size)
    for start in range(0, samples, rows):
        picks = generator.integers(0, data.size, size=(min(rows, samples - start), data.size))
        means.append(data[picks].mean(axis=1))
    return Interval(float(data.mean()), *percentiles(np.concatenate(means), confidence))


def paired_difference(
    before: Sequence[float], after: Sequence[float], *, confidence: float, samples: int, seed: int
) -> Interval:
    """The mean of `after - before`, both in [0, 1], over the same inputs, with its interval."""
    assert len(before) == len(after), "a paired difference needs the same inputs on both sides"
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return bootstrap_mean(differences, confidence=confidence, samples=samples, seed=seed, within=(-1.0, 1.0))


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


def bootstrap_ratio(
    parts: Sequence[tuple[float, float]], *, confidence: float, samples: int, seed: int
) -> Interval | None:
    """The share that one sum over inputs is of another, such as of several answers to each, resampling inputs.

    Args:
        parts: What each input adds to the numerator and to the denominator, neither below 0, the first not above the
            second.
        confidence: Such as 0.95.
        samples: How many resamples.
        seed: Makes the interval reproducible.

    Returns:
        None where the denominator is 0.
    """
    import numpy as np

    data = np.asarray([part for part in parts if part[1]], dtype=np.float64).reshape(-1, 2)
    if not data.size:
        return None
    shares = data[:, 0] / data[:, 1]
    if shares.min() == shares.max():
        return unvaried(float(shares[0]), len(data), confidence=confidence, within=(0.0, 1.0))
    above, below = resampled_sums(data, samples=samples, seed=seed).T
    return Interval(float(data[:, 0].sum() / data[:, 1].sum()), *percentiles(above / below, confidence))


def resampled_sums(rows: "NDArray[np.float64]", *, samples: int, seed: int) -> "NDArray[np.float64]":
    """The sums of the columns over inputs drawn with replacement.

    Args:
        rows: One row per input, shape (inputs, columns); at least one.
        samples: How many resamples.
        seed: Makes them reproducible.

    Returns:
        Shape (samples, columns).
    """
    import numpy as np

    inputs = len(rows)
    generator = np.random.default_rng(seed)
    at_once = max(1, _CHUNK_CELLS // inputs)
    sums = []
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        picks = generator.integers(0, inputs, size=(size, inputs)) + inputs * np.arange(size)[:, None]
        drawn = np.bincount(picks.ravel(), minlength=size * inputs).reshape(size, inputs)
        sums.append(drawn.astype(np.float64) @ rows)
    return np.concatenate(sums)


def percentiles(values: "NDArray[np.float64]", confidence: float) -> tuple[float, float]:
    """The low and the high end of resampled values' percentile interval."""
    import numpy as np

    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def plain(value: Any) -> Any:
    """A value as JSON has it: intervals, however deep, as `value` and `ci`."""
    if isinstance(value, Interval):
        return {"value": value.value, "ci": [value.low, value.high]}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value
