"""Bootstrap intervals over inputs: for one rate, and for the paired difference of two."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_CHUNK_CELLS = 4_000_000


class Interval(NamedTuple):
    """A point estimate and its percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_mean(values: Sequence[float], *, confidence: float, samples: int, seed: int) -> Interval:
    """The mean of per-input values with a percentile bootstrap interval (Efron 1979), resampling inputs.

    Args:
        values: One number per input; at least one.
        confidence: Such as 0.95.
        samples: How many resamples.
        seed: Makes the interval reproducible.
    """
    data = np.asarray(values, dtype=np.float64)
    assert data.ndim == 1
    assert data.size > 0
    generator = np.random.default_rng(seed)
    means = []
    rows = max(1, _CHUNK_CELLS // data.size)
    for start in range(0, samples, rows):
        picks = generator.integers(0, data.size, size=(min(rows, samples - start), data.size))
        means.append(data[picks].mean(axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high))


def paired_difference(
    before: Sequence[float], after: Sequence[float], *, confidence: float, samples: int, seed: int
) -> Interval:
    """The mean of `after - before` over the same inputs in the same order, with its interval."""
    assert len(before) == len(after), "a paired difference needs the same inputs on both sides"
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return bootstrap_mean(differences, confidence=confidence, samples=samples, seed=seed)
