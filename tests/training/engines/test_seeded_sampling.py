from collections import Counter

import pytest
import torch
from torch import Tensor

from openmic.core.records import Sampling
from openmic.training.engines.seeded_sampling import NUCLEUS_CAP, PerRowLength, SeededSampler

WIDTH = 3
SHARES = (0.15, 0.5, 0.05, 0.3)
SCORES = torch.log(torch.tensor(SHARES))
SEEDS = range(2000)


def choose(sampling: Sampling, seeds: range | list[int], scores: Tensor = SCORES, step: int = 0) -> list[int]:
    """The token each seed's row gets, all rows in one batch with the same scores."""
    sampler = SeededSampler([sampling] * len(seeds), list(seeds), WIDTH)
    out = sampler(torch.zeros(len(seeds), WIDTH + step, dtype=torch.long), scores.expand(len(seeds), -1))
    assert (out.isfinite().sum(dim=1) == 1).all()
    chosen: list[int] = out.argmax(dim=1).tolist()
    return chosen


def shares(chosen: list[int]) -> list[float]:
    counts = Counter(chosen)
    return [counts[token] / len(chosen) for token in range(len(SHARES))]


def test_tokens_come_as_often_as_the_model_says() -> None:
    assert shares(choose(Sampling(), SEEDS)) == pytest.approx(SHARES, abs=0.04)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_and_flattens(temperature: float) -> None:
    powers = [share ** (1 / temperature) for share in SHARES]
    expected = [power / sum(powers) for power in powers]
    assert shares(choose(Sampling(temperature=temperature), SEEDS)) == pytest.approx(expected, abs=0.04)


def test_greedy_takes_the_likeliest_whatever_the_seed() -> None:
    assert set(choose(Sampling(temperature=0.0), SEEDS)) == {1}


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.01, {1}), (0.49, {1}), (0.51, {1, 3}), (0.79, {1, 3}), (0.81, {0, 1, 3}), (1.0, {0, 1, 2, 3})],
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: set[int]) -> None:
    assert set(choose(Sampling(top_p=top_p), SEEDS)) == kept


def test_what_top_p_keeps_is_drawn_in_proportion() -> None:
    expected = [0.0, 0.5 / 0.8, 0.0, 0.3 / 0.8]
    assert shares(choose(Sampling(top_p=0.7), SEEDS)) == pytest.approx(expected, abs=0.04)


def test_only_the_likeliest_of_a_large_vocabulary_are_drawn() -> None:
    scores = torch.arange(4 * NUCLEUS_CAP).float() * 1e-4
    chosen = choose(Sampling(temperature=2.0), SEEDS, scores)
    assert min(chosen) >= 3 * NUCLEUS_CAP
    assert len(set(chosen)) > NUCLEUS_CAP // 2


def test_a_row_draws_the_same_alone_and_in_any_place() -> None:
    seeds = [11, 7, 7, 123456789, 0]
    for step in range(4):
        alone = [choose(Sampling(), [seed], step=step)[0] for seed in seeds]
        assert choose(Sampling(), seeds, step=step) == alone
        assert choose(Sampling(), seeds[::-1], step=step) == alone[::-1]


def test_a_row_draws_the_same_beside_a_row_with_other_settings() -> None:
    mixed = [Sampling(max_tokens=5), Sampling(temperature=0.0, max_tokens=900), Sampling(top_p=0.6, max_tokens=1)]
    sampler = SeededSampler(mixed, [5, 6, 8], WIDTH)
    for step in range(3):
        ids = torch.zeros(3, WIDTH + step, dtype=torch.long)
        together = sampler(ids, SCORES.expand(3, -1)).argmax(dim=1).tolist()
        alone = [choose(one, [seed], step=step)[0] for one, seed in zip(mixed[:2], [5, 6], strict=True)]
        assert together[:2] == alone


def test_every_step_draws_anew() -> None:
    by_step = [choose(Sampling(max_tokens=40), list(SEEDS[:50]), step=step) for step in range(20)]
    assert len({tuple(chosen) for chosen in by_step}) == 20
    one_row = [chosen[0] for chosen in by_step]
    assert len(set(one_row)) > 1


def test_rows_stop_at_their_own_limits() -> None:
    stop = PerRowLength([1, 3, 2], WIDTH)
    found = [stop(torch.zeros(3, WIDTH + new, dtype=torch.long), SCORES).tolist() for new in (1, 2, 3)]
    assert found == [[True, False, False], [True, False, True], [True, True, True]]
