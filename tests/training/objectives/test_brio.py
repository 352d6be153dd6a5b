"""BRIO against a NumPy version written from the paper's formula, with an analytic gradient."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from openmic.core.training_settings import ObjectiveSettings
from openmic.training.objectives import OBJECTIVES, TARGET, RowLogprobs

from .formula_rows import differences, gradient, row, rows

brio = OBJECTIVES["brio"]
SHAPES = pytest.mark.parametrize(
    "ranks",
    [
        [[0, 1, TARGET]] * 3,
        [[0, 1]] * 4,
        [[0, 1, 2, 3, TARGET]] * 3,
        [[0, 1, 2, 3], [0, 1, TARGET], [0, 1, 2, TARGET]],
    ],
    ids=["pairs", "pairs without targets", "rankings of four", "of several lengths"],
)
SETTINGS = pytest.mark.parametrize(
    "changes",
    [{}, {"rank_weight": 10.0, "nll_weight": 0.1}, {"length_penalty": 2.0, "nll_weight": 0.0}, {"length_penalty": 0.0}],
)


def brio_in_numpy(given: RowLogprobs, settings: ObjectiveSettings, token: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient by each token's log-probability, example after example, pair after pair."""
    lengths = given.mask.numpy().sum(axis=1)
    nll = 1.0 if settings.nll_weight is None else settings.nll_weight
    examples = sorted(set(given.group.tolist()))
    loss, slope = 0.0, np.zeros_like(token)
    for group in examples:
        count = int(((given.group == group) & (given.rank >= 0)).sum())
        places = [row(given, group, rank) for rank in range(count)]
        scores = [token[place].sum() / lengths[place] ** settings.length_penalty for place in places]
        for i in range(count):
            for j in range(i + 1, count):
                short = scores[j] - scores[i] + np.log(2 * (j - i)) / given.mean_length
                if short > 0:
                    loss += settings.rank_weight * short
                    slope[places[j]] += settings.rank_weight / lengths[places[j]] ** settings.length_penalty
                    slope[places[i]] -= settings.rank_weight / lengths[places[i]] ** settings.length_penalty
        has_target = bool(((given.group == group) & (given.rank == TARGET)).any())
        learned = row(given, group, TARGET if has_target else 0)
        loss -= nll * token[learned].sum() / lengths[learned]
        slope[learned] -= nll / lengths[learned]
    return loss / len(examples), slope / len(examples) * given.mask.numpy()


@SHAPES
@SETTINGS
def test_loss_and_gradient_equal_the_formula(ranks: list[list[int]], changes: dict[str, Any]) -> None:
    settings = ObjectiveSettings.model_validate(changes)
    for seed in range(4):
        given = rows(ranks, seed, mean_length=2.5 + seed)
        loss, slope = brio_in_numpy(given, settings, given.token.numpy())
        assert loss > 0
        assert brio(given, settings).value.item() == pytest.approx(loss, rel=1e-9)
        assert gradient(brio, given, settings) == pytest.approx(slope, abs=1e-9)


@SHAPES
def test_the_gradient_by_hand_is_that_of_differences(ranks: list[list[int]]) -> None:
    given, settings = rows(ranks, seed=3), ObjectiveSettings()
    _, slope = brio_in_numpy(given, settings, given.token.numpy())
    found = differences(lambda token: brio_in_numpy(given, settings, token)[0], given.token.numpy(), given.mask.numpy())
    assert found == pytest.approx(slope, abs=1e-7)


def ranking(*scores: float, mean_length: float = 10.0) -> RowLogprobs:
    """One-token texts, so that their log-probabilities are their scores."""
    token = torch.tensor(scores, dtype=torch.float64).unsqueeze(1)
    count = len(scores)
    return RowLogprobs(token, torch.ones_like(token), torch.zeros(count).long(), torch.arange(count), mean_length)


def test_a_pair_that_leads_by_the_margin_costs_nothing() -> None:
    margin, alone = math.log(2) / 10, ObjectiveSettings(nll_weight=0.0)
    assert brio(ranking(-1.0, -1.0 - 1.001 * margin), alone).value.item() == 0.0
    assert brio(ranking(-1.0, -1.0 - 0.5 * margin), alone).value.item() == pytest.approx(0.5 * margin)
    assert brio(ranking(-1.0, -1.0), alone).value.item() == pytest.approx(margin)


def test_ranks_further_apart_must_lie_further_apart() -> None:
    alone = ObjectiveSettings(nll_weight=0.0)
    steps = [math.log(2 * apart) / 10 for apart in (1, 2, 3)]
    expected = 3 * steps[0] + 2 * steps[1] + steps[2]
    assert brio(ranking(-1.0, -1.0, -1.0, -1.0), alone).value.item() == pytest.approx(expected)


def test_it_tells_the_share_of_pairs_in_the_right_order_and_its_parts() -> None:
    loss = brio(ranking(-1.0, -3.0, -2.0), ObjectiveSettings(nll_weight=0.5, rank_weight=2.0))
    assert loss.metrics["rank_accuracy"] == pytest.approx(2 / 3)
    assert loss.metrics["target_nll"] == 1.0
    assert loss.value.item() == pytest.approx(2.0 * loss.metrics["rank_loss"] + 0.5)
