"""Means over inputs and seeds together, and the paired difference of two arms, with intervals and p-values.

A seed is one training: its outputs on all inputs stand or fall together, so that three seeds of a hundred inputs are no
three hundred facts. Inputs and seeds are two crossed random effects; their mean's standard error is that of the
two-way analysis of variance without replication, its degrees of freedom are Satterthwaite's (1946). A bootstrap that
draws seeds as blocks covers too little where seeds are few and differ (figures: docs/reference/evaluation.md). Of one
seed the interval is the percentile bootstrap over inputs.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.config import EvaluationSettings
from ..bootstrap import bootstrap_mean
from ..intervals import Interval, unvaried

Numbers = Mapping[tuple[str, int], float]
"""A number for each input and seed."""


class Difference(NamedTuple):
    """The mean of a paired difference with its interval and its p-value."""

    value: float
    low: float
    high: float
    p: float
    """How likely a mean as far from 0 is where there is no difference: of this comparison alone (see `corrected`)."""


class Corrected(NamedTuple):
    """One of several comparisons."""

    p: float
    """Adjusted: at or below 1 - confidence the difference is no accident, whichever of them one looks at."""
    clear: bool


class Pooled(NamedTuple):
    """A mean over inputs and seeds."""

    mean: float
    error: float
    """Standard error."""
    freedom: float
    """Degrees of freedom of Student's t."""

    def interval(self, confidence: float) -> Interval:
        """Student's interval of the mean."""
        from scipy.stats import t

        half = float(t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return Interval(self.mean, self.mean - half, self.mean + half)


def pooled(values: NDArray[np.float64]) -> Pooled:
    """The mean of crossed inputs and seeds with its standard error.

    Var(mean) = (MS_inputs + MS_seeds - MS_rest) / (inputs * seeds). Where seeds differ no more than they would by
    chance (MS_seeds at or below MS_rest), as where there is one, it is MS_inputs / (inputs * seeds). MS_inputs counts
    as no less than half of MS_rest.

    Args:
        values: Shape (inputs, seeds); at least two inputs.
    """
    inputs, seeds = values.shape
    assert inputs > 1, "one input has no variance"
    mean = float(values.mean())
    of_inputs, of_seeds = values.mean(axis=1, keepdims=True) - mean, values.mean(axis=0, keepdims=True) - mean
    by_input = seeds * float((of_inputs**2).sum()) / (inputs - 1)
    if seeds == 1:
        return Pooled(mean, (by_input / inputs) ** 0.5, inputs - 1)
    by_seed = inputs * float((of_seeds**2).sum()) / (seeds - 1)
    free = (inputs - 1) * (seeds - 1)
    rest = float(((values - mean - of_inputs - of_seeds) ** 2).sum()) / free
    by_input = max(by_input, rest / 2)  # the means of few inputs may be alike by chance
    if by_seed <= rest:
        return Pooled(mean, (by_input / values.size) ** 0.5, inputs - 1)
    total = by_input + by_seed - rest
    parts = by_input**2 / (inputs - 1) + by_seed**2 / (seeds - 1) + rest**2 / free
    return Pooled(mean, (total / values.size) ** 0.5, total**2 / parts)


def pooled_mean(
    values: NDArray[np.float64], settings: EvaluationSettings, seed: int, *, within: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """The mean over inputs and seeds with its interval, which ends where a mean must.

    Args:
        values: Shape (inputs, seeds); at least one of each.
        settings: The confidence, and how many resamples.
        seed: Makes a bootstrap reproducible.
        within: The least and the greatest that a value could be.
    """
    if len(values) == 1 or values.min() == values.max():
        return unvaried(float(values.mean()), len(values), confidence=settings.confidence, within=within)
    if values.shape[1] == 1:
        samples = settings.bootstrap_samples
        return bootstrap_mean(
            values[:, 0].tolist(), confidence=settings.confidence, samples=samples, seed=seed, within=within
        )
    value, low, high = pooled(values).interval(settings.confidence)
    return Interval(value, max(low, within[0]), min(high, within[1]))


def paired(before: Numbers, after: Numbers, settings: EvaluationSettings, seed: int) -> Difference | None:
    """The mean of `after - before`, both in [0, 1], over the inputs that all seeds of both have.

    Seeds are paired as blocks: by their number where the two share some, else each seed of one arm with the only seed
    of the other. Arms of several seeds that share none are compared by their means over seeds, input by input.

    Returns:
        None where they share no input.
    """
    columns = _columns(before, after)
    shared = [name for name in _inputs(before) if all((name, b) in before and (name, a) in after for b, a in columns)]
    if not shared:
        return None
    values = np.array([[after[name, a] - before[name, b] for b, a in columns] for name in shared])
    if not _pair_up(before, after):
        values = values.mean(axis=1, keepdims=True)
    return Difference(*pooled_mean(values, settings, seed, within=(-1.0, 1.0)), _p_value(values))


def corrected(differences: Mapping[str, Difference], settings: EvaluationSettings) -> dict[str, Corrected]:
    """Several comparisons' p-values by Holm's step-down correction (1979), which needs no independence.

    With it, the chance that even one difference of those called clear is an accident is at most 1 - confidence.
    """
    from statsmodels.stats.multitest import multipletests

    if not differences:
        return {}
    level = 1 - settings.confidence
    clear, adjusted, *_ = multipletests([one.p for one in differences.values()], alpha=level, method="holm")
    return {name: Corrected(float(p), bool(is_)) for name, p, is_ in zip(differences, adjusted, clear, strict=True)}


def balanced(numbers: Numbers) -> tuple[NDArray[np.float64], int]:
    """What every seed has: the numbers, shape (inputs, seeds), and how many numbers are left out."""
    seeds = _seeds(numbers)
    shared = [name for name in _inputs(numbers) if all((name, seed) in numbers for seed in seeds)]
    values = np.array([[numbers[name, seed] for seed in seeds] for name in shared], dtype=np.float64)
    return values.reshape(len(shared), len(seeds)), len(numbers) - values.size


def _p_value(values: NDArray[np.float64]) -> float:
    """Two-sided. Of one seed, or where all differences are alike, by the sign test (of rates McNemar's), else by t."""
    from scipy.stats import binomtest, t

    inputs, seeds = values.shape
    if seeds > 1 and inputs > 1 and values.min() != values.max():
        found = pooled(values)
        return float(2 * t.sf(abs(found.mean) / found.error, found.freedom))
    signs = np.sign(values[:, 0])
    for_it, against = int((signs > 0).sum()), int((signs < 0).sum())
    return float(binomtest(for_it, for_it + against).pvalue) if for_it + against else 1.0


def _columns(before: Numbers, after: Numbers) -> list[tuple[int, int]]:
    """The seeds of both that stand in one column of differences."""
    return _pair_up(before, after) or [(b, a) for b in _seeds(before) for a in _seeds(after)]


def _pair_up(before: Numbers, after: Numbers) -> list[tuple[int, int]]:
    of_before, of_after = _seeds(before), _seeds(after)
    if len(of_before) == 1 or len(of_after) == 1:
        return [(b, a) for b in of_before for a in of_after]
    return [(seed, seed) for seed in of_before if seed in of_after]


def _inputs(numbers: Numbers) -> list[str]:
    return list(dict.fromkeys(name for name, _ in numbers))


def _seeds(numbers: Numbers) -> list[int]:
    return sorted({seed for _, seed in numbers})
