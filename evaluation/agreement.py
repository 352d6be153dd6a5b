"""How far two critics agree on the same comparisons: in outcomes, beyond chance, and in which text they prefer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.config import EvaluationSettings
from ..core.records import Outcome
from .bootstrap import bootstrap_mean


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of n comparisons. Rates are in [0, 1]."""

    n: int
    agreement: float
    """Share with the same outcome: win, tie or loss."""
    ci: tuple[float, float]
    """Of the agreement, by bootstrap over comparisons."""
    kappa: float | None
    """Cohen's kappa of the outcomes; None where chance alone would agree always."""
    decided: int
    """Comparisons on which neither found a tie."""
    decided_agreement: float | None
    """Share of those with the same winner; None where there are none."""

    def as_json(self) -> dict[str, Any]:
        """The fields, the interval as a list."""
        return {**asdict(self), "ci": list(self.ci)}


def agreement(pairs: Sequence[tuple[Outcome, Outcome]], settings: EvaluationSettings, seed: int) -> Agreement:
    """The agreement of two critics' outcomes, comparison by comparison. Needs at least one."""
    same = [float(before == after) for before, after in pairs]
    rate = bootstrap_mean(same, confidence=settings.confidence, samples=settings.bootstrap_samples, seed=seed)
    decided = [before == after for before, after in pairs if "tie" not in (before, after)]
    return Agreement(
        n=len(pairs),
        agreement=rate.value,
        ci=(rate.low, rate.high),
        kappa=cohens_kappa(pairs),
        decided=len(decided),
        decided_agreement=sum(decided) / len(decided) if decided else None,
    )


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """(observed - chance) / (1 - chance) agreement of two raters (Cohen 1960); None where chance is 1."""
    n = len(pairs)
    observed = sum(one == other for one, other in pairs) / n
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(first[label] * second[label] for label in first) / n**2
    return None if chance == 1 else (observed - chance) / (1 - chance)
