import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.evaluation import bootstrap
from openmic.evaluation.bootstrap import bootstrap_mean, bootstrap_ratio, paired_difference, resampled_sums
from openmic.evaluation.intervals import Interval

from ..properties import steady


def mean_of(values: list[float], confidence: float = 0.95, samples: int = 1000, seed: int = 3) -> Interval:
    return bootstrap_mean(values, confidence=confidence, samples=samples, seed=seed)


def difference(before: list[float], after: list[float], samples: int = 1000) -> Interval:
    return paired_difference(before, after, confidence=0.95, samples=samples, seed=3)


def test_the_interval_of_a_rate_is_the_one_known_from_the_binomial() -> None:
    interval = mean_of([1.0] * 60 + [0.0] * 40, samples=20_000)
    half = 1.96 * (0.6 * 0.4 / 100) ** 0.5
    assert interval.value == pytest.approx(0.6)
    assert interval.low == pytest.approx(0.6 - half, abs=0.011)
    assert interval.high == pytest.approx(0.6 + half, abs=0.011)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    covered = 0
    for trial in range(400):
        interval = mean_of((generator.random(60) < 0.4).astype(float).tolist(), confidence=0.8, samples=400, seed=trial)
        covered += interval.low <= 0.4 <= interval.high
    assert 0.72 <= covered / 400 <= 0.88


def test_more_confidence_is_wider_and_more_data_narrower() -> None:
    few, many = [0.0, 1.0] * 20, [0.0, 1.0] * 320
    widths = [high - low for _, low, high in (mean_of(few, 0.99), mean_of(few, 0.95), mean_of(few, 0.5))]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3
    _, low, high = mean_of(many)
    assert (high - low) == pytest.approx(widths[1] / 4, rel=0.2)


@pytest.mark.parametrize("n", [1, 6, 116])
def test_a_rate_that_does_not_vary_has_wilsons_interval(n: int) -> None:
    z = 1.959964
    none, every = mean_of([0.0] * n), mean_of([1.0] * n)
    assert none == pytest.approx((0.0, 0.0, z**2 / (n + z**2)), abs=1e-6)
    assert every == pytest.approx((1.0, n / (n + z**2), 1.0), abs=1e-6)
    value, low, high = mean_of([0.25] * n)
    assert 0 <= low < value < high <= 1


@pytest.mark.parametrize("n", [1, 6, 116])
@pytest.mark.parametrize("each", [-1, 0, 1])
def test_a_difference_that_does_not_vary_has_tangos_interval(n: int, each: int) -> None:
    """Its statistic is z at both ends that are no bound: (sum of differences - n d) over its standard error at d."""
    found = difference([float(each < 0)] * n, [float(each > 0)] * n)
    assert found.value == each
    assert -1 <= found.low < found.high <= 1
    for d in (found.low, found.high):
        if abs(d) < 1:
            up, down = n * (each > 0), n * (each < 0)
            b = -up - down + (2 * n - up + down) * d
            q = ((b * b + 8 * n * down * d * (1 - d)) ** 0.5 - b) / (4 * n)
            assert abs(up - down - n * d) / (n * (2 * q + d * (1 - d))) ** 0.5 == pytest.approx(1.959964, abs=1e-5)


def test_a_share_of_answers_that_does_not_vary_goes_by_the_inputs() -> None:
    found = bootstrap_ratio([(3, 3), (1, 1), (0, 0)], confidence=0.95, samples=50, seed=1)
    assert found == mean_of([1.0] * 2)


def test_the_same_seed_gives_the_same_interval_and_another_a_similar_one() -> None:
    values = [float(number % 3) for number in range(50)]
    assert mean_of(values, seed=1) == mean_of(values, seed=1)
    one, other = mean_of(values, seed=1), mean_of(values, seed=2)
    assert one != other
    assert one.low == pytest.approx(other.low, abs=0.1)


def test_resampling_in_parts_is_no_other_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(number % 5) for number in range(40)]
    whole = mean_of(values)
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 40 * 7)
    assert mean_of(values) == whole


def test_a_pairs_difference_is_narrower_than_two_rates_apart() -> None:
    generator = np.random.default_rng(5)
    before = generator.normal(0, 1, 80)
    after = before + 0.2 + generator.normal(0, 0.1, 80)
    paired = difference(before.tolist(), after.tolist())
    apart = mean_of(after.tolist()).low - mean_of(before.tolist()).high
    assert paired.value == pytest.approx(float((after - before).mean()))
    assert paired.low > 0.15
    assert paired.high - paired.low < 0.1
    assert apart < 0


def test_pairing_goes_by_the_inputs() -> None:
    before, after = [0.0, 1.0] * 20, [1.0, 1.0] * 20
    assert difference(before, after).value == pytest.approx(0.5)
    same = [0.0, 1.0] * 20
    alike = difference(same, same)
    assert (alike.value, alike.low) == (0, -alike.high)
    assert 0 < alike.high < 0.1
    assert difference(same, same[::-1]).high > 0.2


def test_exchanging_the_sides_turns_the_difference_round() -> None:
    before, after = [0.0, 1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0]
    there, back = difference(before, after), difference(after, before)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 2.0])])
def test_there_is_no_difference_without_pairs(before: list[float], after: list[float]) -> None:
    with pytest.raises(AssertionError):
        difference(before, after)


@steady
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_interval_holds_the_mean_of_rates_and_stays_within_them(values: list[float]) -> None:
    interval = mean_of(values, samples=200)
    if min(values) < max(values):
        assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert -1e-9 <= interval.low < interval.high <= 1 + 1e-9
    assert interval.value == pytest.approx(sum(values) / len(values))


def test_the_ratio_of_sums_is_of_all_answers_and_its_interval_of_inputs() -> None:
    found = bootstrap_ratio([(1, 1), (0, 3), (0, 0), (2, 2)], confidence=0.9, samples=500, seed=1)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert bootstrap_ratio([(0, 0)], confidence=0.9, samples=500, seed=1) is None


def test_the_ratio_where_each_input_has_one_answer_is_their_mean() -> None:
    parts = [(float(number % 3 == 0), 1.0) for number in range(40)]
    values = [above for above, _ in parts]
    ratio = bootstrap_ratio(parts, confidence=0.95, samples=500, seed=9)
    assert ratio == pytest.approx(bootstrap_mean(values, confidence=0.95, samples=500, seed=9))


def test_resampled_sums_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(12, dtype=np.float64).reshape(6, 2)
    at_once = resampled_sums(rows, samples=50, seed=4)
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 13)
    assert resampled_sums(rows, samples=50, seed=4).tolist() == at_once.tolist()
    assert at_once.shape == (50, 2)
