from itertools import combinations

import numpy as np
import pytest
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from openmic.core.config import EvaluationSettings
from openmic.core.errors import ConfigError
from openmic.core.records import Outcome
from openmic.evaluation.arms.ranking import Match, bradley_terry

from .simulated import SETTINGS

TRUTH = {"dpo": 1.0, "brio": 0.4, "ft": -0.3, "base": -1.1}


def matches(seed: int, inputs: int = 60, ties: float = 0.1) -> list[Match]:
    generator = np.random.default_rng(seed)
    found = []
    for number in range(inputs):
        for one, other in combinations(TRUTH, 2):
            p = 1 / (1 + np.exp(TRUTH[other] - TRUTH[one]))
            outcome: Outcome = "win" if generator.random() < p else "loss"
            found.append(Match(f"{number}", one, other, "tie" if generator.random() < ties else outcome))
    return found


def test_strengths_are_those_of_a_logistic_regression_on_who_met_whom() -> None:
    given, arms = matches(1), list(TRUTH)
    met = [*given, *(Match("prior", one, other, "tie") for one, other in combinations(arms, 2))]
    design = np.array([[(arm == m.first) - (arm == m.second) for arm in arms[:-1]] for m in met], dtype=float)
    credits_ = [{"win": 1.0, "tie": 0.5, "loss": 0.0}[m.outcome] for m in met]
    fit = GLM(credits_, design, family=Binomial()).fit(tol=1e-12)
    expected = np.append(fit.params, 0) - np.append(fit.params, 0).mean()
    found = {ranked.arm: ranked.strength.value for ranked in bradley_terry(given, SETTINGS, 1)}
    assert [found[arm] for arm in arms] == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_order_is_the_truths_and_intervals_cover_it() -> None:
    settings = EvaluationSettings(bootstrap_samples=100)
    found = []
    for seed in range(20):
        strengths = {each.arm: each.strength for each in bradley_terry(matches(seed, ties=0), settings, seed)}
        centred = [(arm, strength - sum(TRUTH.values()) / len(TRUTH)) for arm, strength in TRUTH.items()]
        found += [strengths[arm].low <= truth <= strengths[arm].high for arm, truth in centred]
    assert sum(found) / len(found) >= 0.88
    assert [ranked.arm for ranked in bradley_terry(matches(3, inputs=300), SETTINGS, 1)] == list(TRUTH)


def test_an_arm_that_lost_all_has_a_finite_strength_and_the_last_place() -> None:
    given = [Match(f"{number}", "good", "bad", "win") for number in range(20)]
    good, bad = bradley_terry(given, SETTINGS, 1)
    assert (good.arm, good.rank, bad.rank) == ("good", (1, 1), (2, 2))
    assert 0 < good.strength.value < 5
    assert good.matches == bad.matches == 20


def test_arms_that_only_tie_are_equal() -> None:
    found = bradley_terry([Match(f"{number}", "a", "b", "tie") for number in range(20)], SETTINGS, 1)
    assert [ranked.strength.value for ranked in found] == pytest.approx([0, 0])


def test_arms_are_linked_by_whom_both_met() -> None:
    won = {"dpo": 14, "ft": 6}
    given = [Match(f"{i}", arm, "teacher", "win" if i < won[arm] else "loss") for arm in won for i in range(20)]
    assert [ranked.arm for ranked in bradley_terry(given, SETTINGS, 1)] == ["dpo", "teacher", "ft"]
    with pytest.raises(ConfigError, match="'dpo' and 'x' cannot be ranked together"):
        bradley_terry([*given, Match("0", "x", "y", "win")], SETTINGS, 1)


def test_seeds_that_differ_widen_the_intervals() -> None:
    def of(wins: list[int]) -> float:
        given = [
            Match(f"{i}", "a", "b", "win" if i < count else "loss", seed)
            for seed, count in enumerate(wins)
            for i in range(40)
        ]
        low, high = next(ranked.strength[1:] for ranked in bradley_terry(given, SETTINGS, 1) if ranked.arm == "a")
        return high - low

    assert of([8, 20, 32]) > 1.3 * of([20, 20, 20])


def test_what_cannot_be_ranked_is_said() -> None:
    with pytest.raises(ConfigError, match="not one match"):
        bradley_terry([], SETTINGS, 1)
    with pytest.raises(ConfigError, match="'a' is matched with itself on input 3"):
        bradley_terry([Match("3", "a", "a", "win")], SETTINGS, 1)
