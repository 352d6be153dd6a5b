"""The win rate at equal length: as if outputs were as long as what they are compared with.

After length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475): a logistic regression of the outcome on the
difference in length, its curve read where the difference is 0. Its further term, how hard each instruction is, needs
many models on the same instructions and is left out; lengths are in words (`core.text`), not in characters.
"""

import numpy as np
from numpy.typing import NDArray

from ...core.config import EvaluationSettings
from ..intervals import Interval
from .pooled import Pooled, pooled, pooled_mean


def length_controlled_rate(
    credits_: NDArray[np.float64], longer_by: NDArray[np.float64], settings: EvaluationSettings, seed: int
) -> Interval:
    """The win rate, ties as half a win, at equal length, with its interval.

    The model is logit E[credit] = a + b tanh(longer_by / s), with s the standard deviation of longer_by, as AlpacaEval
    has it; the rate is 1 / (1 + exp(-a)). It is fitted by statsmodels with a log-F(1, 1) prior on b, which is one more
    observation (Greenland and Mansournia 2015): with it b is finite even where the longer one always wins. The interval
    is made of a's by its influence function, over inputs and seeds as `pooled` has them; of one seed that is the
    sandwich estimator's.

    Args:
        credits_: 1 for a win, 0.5 for a tie, 0 for a loss; shape (inputs, seeds).
        longer_by: How many words the output has more than what it is compared with; the same shape.
        settings: The confidence, and how many resamples where there is nothing to control for.
        seed: Makes a bootstrap reproducible.

    Returns:
        The plain win rate's interval where all lengths differ alike or all outcomes are the same.
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    spread = float(longer_by.std())
    if len(credits_) < 2 or not spread or credits_.min() == credits_.max():
        return pooled_mean(credits_, settings, seed)
    x, y = np.tanh(longer_by / spread).ravel(), credits_.ravel()
    design = np.column_stack([np.ones_like(x), x])
    fit = GLM(np.append(y, 0.5), np.vstack([design, [0.0, 1.0]]), family=Binomial()).fit()
    a, b = map(float, fit.params)
    expected = 1 / (1 + np.exp(-(a + b * x)))
    weights = expected * (1 - expected)
    information = (design * weights[:, None]).T @ design + np.diag([0.0, 0.25 / np.cosh(b / 2) ** 2])
    influence = len(x) * (design * (y - expected)[:, None]) @ np.linalg.inv(information)[:, 0]
    centred = influence - influence.mean()
    _, error, freedom = pooled(centred.reshape(credits_.shape))
    found = Pooled(a, error, freedom).interval(settings.confidence)
    return Interval(*(float(1 / (1 + np.exp(-end))) for end in found))
