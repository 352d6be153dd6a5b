import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from openmic.evaluation.arms.pooled import Difference, balanced, corrected, paired, pooled, pooled_mean

from .simulated import SETTINGS, TRIALS, covered, draws, rates


@pytest.mark.parametrize("rate", [0.35, 0.5, 0.66])
def test_the_interval_of_one_seeds_rate_covers_the_truth_as_often_as_it_says(rate: float) -> None:
    generator = np.random.default_rng(5)
    found = [
        pooled_mean(draws(generator, rates(generator, rate, (116, 1))), SETTINGS, trial) for trial in range(TRIALS)
    ]
    assert 0.93 <= covered(found, rate) <= 0.97


@pytest.mark.parametrize(("seeds", "apart"), [(3, 0.0), (3, 0.03), (5, 0.05), (2, 0.03)])
def test_the_interval_over_seeds_that_differ_covers_the_truth_as_often_as_it_says(seeds: int, apart: float) -> None:
    generator = np.random.default_rng(6)
    found = [
        pooled_mean(draws(generator, rates(generator, 0.5, (116, seeds), 0.2, apart)), SETTINGS, trial)
        for trial in range(TRIALS)
    ]
    assert 0.93 <= covered(found, 0.5) <= 0.97


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_a_paired_difference_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    generator = np.random.default_rng(7)
    found = []
    for trial in range(TRIALS):
        before = rates(generator, 0.3, (116, seeds), 0.15, 0.02)
        likely = before + 0.2 + 0.02 * generator.standard_normal((1, seeds))
        numbers = [
            {(f"{row}", column): float(value) for (row, column), value in np.ndenumerate(draws(generator, each))}
            for each in (before, likely)
        ]
        difference = paired(numbers[0], numbers[1], SETTINGS, trial)
        assert difference is not None
        found.append(difference[:3])
    assert 0.93 <= covered(found, 0.2) <= 0.97


def test_holms_correction_multiplies_the_smallest_p_value_by_the_number_of_comparisons() -> None:
    found = corrected(
        {name: Difference(0.1, 0, 0.2, p) for name, p in (("a", 0.04), ("b", 0.01), ("c", 0.3))}, SETTINGS
    )
    assert {name: each.p for name, each in found.items()} == pytest.approx({"a": 0.08, "b": 0.03, "c": 0.3})
    assert [name for name, each in found.items() if each.clear] == ["b"]
    assert corrected({}, SETTINGS) == {}


def test_the_standard_error_of_one_seed_is_the_means() -> None:
    values = np.random.default_rng(1).random((40, 1))
    mean, error, freedom = pooled(values)
    fit = OLS(values[:, 0], np.ones(40)).fit()
    assert (mean, error, freedom) == pytest.approx((fit.params[0], fit.bse[0], fit.df_resid))


def test_seeds_that_say_the_same_are_no_more_than_one_seed() -> None:
    one = np.random.default_rng(2).integers(0, 2, (60, 1)).astype(float)
    assert pooled(np.repeat(one, 3, axis=1)) == pytest.approx(pooled(one))


def test_seeds_that_differ_widen_the_interval() -> None:
    generator = np.random.default_rng(3)
    alike, apart = (
        draws(generator, rates(generator, 0.5, (200, 3)) + shift) for shift in (0, np.array([-0.2, 0, 0.2]))
    )
    assert pooled(apart).error > 3 * pooled(alike).error


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (9, 1), (9, 3)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_where_nothing_varies_the_interval_knows_how_few_inputs_there_are(shape: tuple[int, int], value: float) -> None:
    found = pooled_mean(np.full(shape, value), SETTINGS, 1)
    assert 0 <= found.low <= found.value == value <= found.high <= 1
    assert found.high - found.low > 0.2


def test_an_interval_ends_where_a_rate_must() -> None:
    values = np.zeros((20, 2))
    values[0] = 1
    found = pooled_mean(values, SETTINGS, 1)
    assert found.low >= 0


def test_only_inputs_that_every_seed_has_are_pooled_and_the_others_counted() -> None:
    values, left_out = balanced({("a", 1): 1.0, ("a", 2): 0.0, ("b", 1): 1.0})
    assert values.tolist() == [[1.0, 0.0]]
    assert left_out == 1
    assert balanced({})[0].size == 0


def test_seeds_are_paired_by_their_number_or_with_the_only_one() -> None:
    before = {("a", 1): 0.0, ("a", 2): 1.0, ("b", 1): 0.0, ("b", 2): 1.0}
    after = {("a", 1): 1.0, ("a", 2): 1.0, ("b", 1): 0.0, ("b", 2): 1.0}
    only = {("a", 7): 0.0, ("b", 7): 0.0}
    same, one, others = (paired(*both, SETTINGS, 1) for both in ((before, after), (only, after), (after, only)))
    assert same is not None
    assert one is not None
    assert others is not None
    assert same.value == 0.25
    assert one.value == 0.75
    assert others.value == -0.75


def test_arms_that_share_no_seed_are_compared_by_their_means_and_those_that_share_no_input_are_not() -> None:
    before = {("a", 1): 0.0, ("a", 2): 1.0}
    after = {("a", 3): 1.0, ("a", 4): 1.0}
    found = paired(before, after, SETTINGS, 1)
    assert found is not None
    assert found.value == 0.5
    assert paired(before, {("b", 1): 1.0}, SETTINGS, 1) is None


def test_inputs_and_seeds_whose_means_are_alike_by_chance_leave_doubt() -> None:
    before = {("a", 1): 0.0, ("a", 2): 1.0, ("b", 1): 1.0, ("b", 2): 0.0}
    after = {place: 1 - value for place, value in before.items()}
    found = paired(before, after, SETTINGS, 1)
    assert found is not None
    assert (found.value, found.p) == (0, 1)
    assert found.low < -0.5 < 0.5 < found.high


def test_the_p_value_of_one_seed_is_mcnemars_exact() -> None:
    before = {(f"{row}", 0): float(row < 12) for row in range(40)}
    after = {(f"{row}", 0): float(2 <= row < 20) for row in range(40)}
    found = paired(before, after, SETTINGS, 1)
    assert found is not None
    assert found.p == pytest.approx(2 * sum((1, 10, 45)) / 2**10)
    same = paired(before, before, SETTINGS, 1)
    assert same is not None
    assert same.p == 1
