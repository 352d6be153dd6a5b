"""How far raters agree, people or critics, on pairs of texts that not all of them have rated.

Two raters are compared on the pairs that both rated. Of several, the counts of all twos are added up, and kappa is the
mean of every two raters' own (Light 1971), weighted by how many pairs they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.config import EvaluationSettings
from ..core.records import Outcome
from .bootstrap import bootstrap_ratio, percentiles, resampled_sums
from .intervals import Interval

_PLACE: Final[dict[Outcome, int]] = {"win": 0, "loss": 1, "tie": 2}


class Comparison(NamedTuple):
    """One pair of texts and what two raters said of it."""

    pair: int
    """Which: intervals resample pairs, with all that was said of each."""
    one: Outcome
    other: Outcome


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """Shares are in [0, 1]."""

    n: int
    """Comparisons: a pair of texts that was rated by two."""
    pairs: int
    """Pairs of texts among them."""
    twos: int
    """How many twos of raters were compared."""
    share: Interval
    """With the same outcome: win, tie or loss."""
    kappa: Interval | None
    """Agreement beyond chance; None where chance alone would agree always."""
    decided: int
    """Comparisons in which neither found a tie."""
    same_winner: Interval | None
    """Share of those with the same winner; None where there are none."""


def rater_agreement(
    twos: Sequence[Sequence[Comparison]], settings: EvaluationSettings, seed: int
) -> RaterAgreement | None:
    """The agreement of every two raters, each given as what both rated; None where that is nothing."""
    shared = [comparisons for comparisons in twos if comparisons]
    if not shared:
        return None
    places = {pair: place for place, pair in enumerate(sorted({c.pair for comparisons in shared for c in comparisons}))}
    tables = np.zeros((len(places), len(shared), 3, 3))
    for number, comparisons in enumerate(shared):
        for pair, one, other in comparisons:
            tables[places[pair], number, _PLACE[one], _PLACE[other]] += 1
    bootstrap = {"samples": settings.bootstrap_samples, "seed": seed}
    same, said = np.trace(tables, axis1=2, axis2=3).sum(axis=1), tables.sum(axis=(1, 2, 3))
    decided = tables[:, :, :2, :2]
    won, both = np.trace(decided, axis1=2, axis2=3).sum(axis=1), decided.sum(axis=(1, 2, 3))
    share = bootstrap_ratio([*zip(same, said, strict=True)], confidence=settings.confidence, **bootstrap)
    assert share is not None
    flat = tables.reshape(len(places), -1)
    resampled = resampled_sums(flat, **bootstrap).reshape(-1, len(shared), 3, 3)
    return RaterAgreement(
        n=int(said.sum()),
        pairs=len(places),
        twos=len(shared),
        share=share,
        kappa=_interval(_kappas(tables.sum(axis=0)[None]), _kappas(resampled), settings.confidence),
        decided=int(both.sum()),
        same_winner=bootstrap_ratio([*zip(won, both, strict=True)], confidence=settings.confidence, **bootstrap),
    )


def _kappas(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted mean of the twos' kappas, for each sample of tables (samples, twos, 3, 3); NaN where undefined."""
    n = tables.sum(axis=(2, 3))
    chance = (tables.sum(axis=3) * tables.sum(axis=2)).sum(axis=2)
    defined = chance < n**2
    observed = np.trace(tables, axis1=2, axis2=3)
    # n times (observed - chance) / (1 - chance) of Cohen (1960), both as shares; every part of it is a whole number.
    weighted = np.divide(n * (observed * n - chance), n**2 - chance, out=np.zeros_like(n), where=defined)
    weights = np.where(defined, n, 0).sum(axis=1)
    mean: NDArray[np.float64] = np.full(len(n), np.nan)
    np.divide(weighted.sum(axis=1), weights, out=mean, where=weights > 0)
    return mean


def _interval(found: NDArray[np.float64], resampled: NDArray[np.float64], confidence: float) -> Interval | None:
    # A sample of pairs on which chance alone agrees always says nothing of kappa.
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(found[0]) or not defined.size:
        return None
    return Interval(float(found[0]), *percentiles(defined, confidence))
