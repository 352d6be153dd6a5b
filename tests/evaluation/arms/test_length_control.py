import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from openmic.evaluation.arms.length_control import length_controlled_rate
from openmic.evaluation.arms.pooled import pooled_mean
from openmic.evaluation.intervals import Interval

from .simulated import SETTINGS, TRIALS, covered, draws


def judged(
    generator: np.random.Generator, fondness: float, merit: float, seeds: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Verdicts of a judge with that fondness of length, on outputs that are longer by four words in the mean."""
    longer = generator.normal(4, 5, (116, seeds)).round()
    likely = 1 / (1 + np.exp(-(merit + fondness * np.tanh(longer / 5))))
    credits_ = draws(generator, likely)
    return np.where(generator.random(credits_.shape) < 0.1, 0.5, credits_) if not merit else credits_, longer


def found(fondness: float, merit: float, seeds: int = 1, trials: int = TRIALS) -> tuple[list[Interval], list[float]]:
    generator = np.random.default_rng(4)
    drawn = [judged(generator, fondness, merit, seeds) for _ in range(trials)]
    intervals = [length_controlled_rate(*each, SETTINGS, trial) for trial, each in enumerate(drawn)]
    return intervals, [float(credits_.mean()) for credits_, _ in drawn]


def test_control_removes_a_planted_preference_for_length() -> None:
    controlled, raw = found(fondness=2.0, merit=0.0)
    assert np.mean(raw) > 0.65
    assert np.mean([each.value for each in controlled]) == pytest.approx(0.5, abs=0.01)
    assert 0.93 <= covered(controlled, 0.5) <= 0.97


def test_control_leaves_merit_as_it_is() -> None:
    controlled, raw = found(fondness=0.0, merit=0.8, trials=200)
    truth = 1 / (1 + np.exp(-0.8))
    assert np.mean(raw) == pytest.approx(truth, abs=0.015)
    assert np.mean([each.value for each in controlled]) == pytest.approx(truth, abs=0.015)
    assert covered(controlled, truth) >= 0.9


def test_control_works_over_seeds() -> None:
    controlled, _ = found(fondness=2.0, merit=0.0, seeds=3, trials=200)
    assert covered(controlled, 0.5) >= 0.9


def test_rate_and_interval_are_a_regressions_with_the_sandwich_estimator() -> None:
    credits_, longer = judged(np.random.default_rng(9), 1.0, 0.5)
    found = length_controlled_rate(credits_, longer, SETTINGS, 1)
    design = np.column_stack([np.ones(116), np.tanh(longer[:, 0] / longer.std())])
    fit = GLM(credits_[:, 0], design, family=Binomial()).fit(cov_type="HC1", use_t=True)
    low, high = (1 / (1 + np.exp(-end)) for end in fit.conf_int()[0])
    assert tuple(found) == pytest.approx((1 / (1 + np.exp(-fit.params[0])), low, high), abs=0.01)


def test_a_judge_for_whom_length_decides_all_leaves_the_rate_open() -> None:
    longer = np.arange(-10.0, 10.0)[:, None] + 0.5
    value, low, high = length_controlled_rate((longer > 0).astype(float), longer, SETTINGS, 1)
    assert value == pytest.approx(0.5, abs=0.01)
    assert low < 0.35
    assert high > 0.65


def test_without_anything_to_control_for_it_is_the_plain_rate() -> None:
    credits_ = np.array([1.0, 0, 1, 1, 0, 0.5])[:, None]
    alike = np.full((6, 1), 3.0)
    assert length_controlled_rate(credits_, alike, SETTINGS, 1) == pooled_mean(credits_, SETTINGS, 1)
    every = np.ones((6, 1))
    assert length_controlled_rate(every, np.arange(6.0)[:, None], SETTINGS, 1) == pooled_mean(every, SETTINGS, 1)


def test_one_input_and_one_very_long_output_are_fine() -> None:
    assert length_controlled_rate(np.ones((1, 2)), np.array([[3.0, 5]]), SETTINGS, 1).low < 0.5
    longer = np.zeros((30, 1))
    longer[0] = 100_000
    credits_ = np.array([1.0, 0] * 15)[:, None]
    value, low, high = length_controlled_rate(credits_, longer, SETTINGS, 1)
    assert 0 < low < value < high < 1
