"""All arms in one order, from whatever pairs of them were compared: Bradley and Terry's model (1952).

p(a beats b) = 1 / (1 + exp(strength_b - strength_a)).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.config import EvaluationSettings
from ...core.errors import ConfigError
from ...core.records import Outcome
from ..bootstrap import percentiles
from ..intervals import Interval

_CREDIT: dict[Outcome, float] = {"win": 1.0, "tie": 0.5, "loss": 0.0}


class Match(NamedTuple):
    """Two arms' outputs for one input, compared in both orders."""

    input_id: str
    first: str
    """An arm."""
    second: str
    outcome: Outcome
    """How the first fared."""
    seed: int = 0
    """Of the trainings; bootstrap draws seeds as blocks."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An arm's place among all."""

    arm: str
    strength: Interval
    """Log-odds, their mean over the arms 0; two arms that differ by 1 win and lose as 73 to 27."""
    rank: tuple[int, int]
    """The best and the worst place that it has in the resamples between their percentiles; 1 is the best."""
    matches: int

    def as_json(self) -> dict[str, Any]:
        """The fields; the interval as `value` and `ci`."""
        value, low, high = self.strength
        return {**asdict(self), "strength": {"value": value, "ci": [low, high]}, "rank": list(self.rank)}


def bradley_terry(matches: Sequence[Match], settings: EvaluationSettings, seed: int) -> list[Ranked]:
    """The arms by their strengths, the strongest first, with bootstrap intervals.

    Strengths are the maximum-likelihood estimate by choix (I-LSR, Maystre and Grossglauser 2015). A tie is half a win
    for each. One tie more is added to every two arms that were compared, so that an arm which lost all has a finite
    strength. Inputs are resampled with all their matches, and seeds as blocks: of S seeds S - 1 are drawn with
    replacement, by which the variance between few seeds comes out right (Rao and Wu 1988).

    Args:
        matches: At least one.
        settings: The confidence, and how many resamples.
        seed: Makes the intervals reproducible.

    Raises:
        ConfigError: there is no match, an arm is matched with itself, or no chain of matches links all arms.
    """
    arms = list(dict.fromkeys(arm for match in matches for arm in (match.first, match.second)))
    tables, played = _tables(matches, {arm: place for place, arm in enumerate(arms)})
    prior = played / 2
    found = _strengths(tables.sum(axis=(0, 1)) + prior)
    generator = np.random.default_rng(seed)
    inputs, seeds = tables.shape[:2]
    drawn = max(1, seeds - 1)
    resampled = np.empty((settings.bootstrap_samples, len(arms)))
    for sample in resampled:
        of_inputs = generator.multinomial(inputs, np.full(inputs, 1 / inputs)).astype(np.float64)
        of_seeds = generator.multinomial(drawn, np.full(seeds, 1 / seeds)) * (seeds / drawn)
        sample[:] = _strengths(np.einsum("i,s,isab->ab", of_inputs, of_seeds, tables, optimize=True) + prior, found)
    ranks = (-resampled).argsort(axis=1).argsort(axis=1) + 1
    ranked = []
    for place in np.argsort(-found, kind="stable"):
        low, high = percentiles(resampled[:, place], settings.confidence)
        best, worst = percentiles(ranks[:, place].astype(np.float64), settings.confidence)
        count = sum(arms[place] in {match.first, match.second} for match in matches)
        strength = Interval(float(found[place]), low, high)
        ranked.append(Ranked(arms[place], strength, (round(best), round(worst)), count))
    return ranked


def _tables(matches: Sequence[Match], place: dict[str, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each arm won of each: shape (inputs, seeds, arms, arms); and which two were compared, 1 or 0."""
    from scipy.sparse.csgraph import connected_components

    if not matches:
        raise ConfigError("there is nothing to rank: not one match of two arms is given")
    inputs = {name: number for number, name in enumerate(dict.fromkeys(match.input_id for match in matches))}
    seeds = {name: number for number, name in enumerate(sorted({match.seed for match in matches}))}
    tables = np.zeros((len(inputs), len(seeds), len(place), len(place)))
    for match in matches:
        if match.first == match.second:
            raise ConfigError(f"arm {match.first!r} is matched with itself on input {match.input_id}; leave that out")
        table = tables[inputs[match.input_id], seeds[match.seed]]
        credit, first, second = _CREDIT[match.outcome], place[match.first], place[match.second]
        table[first, second] += credit
        table[second, first] += 1 - credit
    total = tables.sum(axis=(0, 1))
    played = ((total + total.T) > 0).astype(np.float64)
    groups, of_arm = connected_components(played, directed=False)
    if groups > 1:
        one, other = (next(arm for arm, at in place.items() if of_arm[at] == group) for group in (0, 1))
        raise ConfigError(f"arms {one!r} and {other!r} cannot be ranked together: no chain of matches links them")
    return tables, played


def _strengths(won: NDArray[np.float64], start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    import choix

    found: NDArray[np.float64] = choix.ilsr_pairwise_dense(won, initial_params=start, max_iter=1000)
    centred: NDArray[np.float64] = found - found.mean()
    return centred
