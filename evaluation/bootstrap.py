"""Bootstrap intervals over inputs: for one rate, for the paired difference of two, and for a ratio of sums.

Where every input says the same, resampling finds no doubt at all; the interval is then the score interval, which knows
how few the inputs are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .intervals import Interval, unvaried

_CHUNK_CELLS = 4_000_000


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
    data = np.asarray([part for part in parts if part[1]], dtype=np.float64).reshape(-1, 2)
    if not data.size:
        return None
    shares = data[:, 0] / data[:, 1]
    if shares.min() == shares.max():
        return unvaried(float(shares[0]), len(data), confidence=confidence, within=(0.0, 1.0))
    above, below = resampled_sums(data, samples=samples, seed=seed).T
    return Interval(float(data[:, 0].sum() / data[:, 1].sum()), *percentiles(above / below, confidence))


def resampled_sums(rows: NDArray[np.float64], *, samples: int, seed: int) -> NDArray[np.float64]:
    """The sums of the columns over inputs drawn with replacement.

    Args:
        rows: One row per input, shape (inputs, columns); at least one.
        samples: How many resamples.
        seed: Makes them reproducible.

    Returns:
        Shape (samples, columns).
    """
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


def percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The low and the high end of resampled values' percentile interval."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
