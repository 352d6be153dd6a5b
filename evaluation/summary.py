"""One adapter version against the teacher on held-out inputs, and the gain from one version to another."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.config import EvaluationSettings
from ..core.records import JudgedOutput
from .bootstrap import bootstrap_mean, paired_difference
from .intervals import Interval
from .text_metrics import distinct_n


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """What the report says of one adapter version. Counts are of inputs, rates are in [0, 1]."""

    n: int
    win: int
    tie: int
    loss: int
    win_tie_rate: float
    ci: tuple[float, float]
    consistency: float
    """Share of comparisons in which both orders agreed; the others count as ties."""
    length_ratio: float
    distinct_2: float
    scores: dict[str, float]
    """The mean of each scorer over the outputs that it scored, by name, in the configuration's order."""
    shares: list[str]
    """The scorers that gave nothing but 0 and 1, so that their mean is the share of ones."""
    unscored: dict[str, int]
    """On how many outputs each scorer failed, where it did."""

    def as_json(self) -> dict[str, Any]:
        """The fields, the interval as a list."""
        return {**asdict(self), "ci": list(self.ci)}


def summarize(outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int) -> VersionSummary:
    """Counts, rates and the win-tie rate's bootstrap interval over inputs. Needs at least one output."""
    rate = bootstrap_mean([output.credit for output in outputs], **_bootstrap(settings, seed))
    tally = {outcome: sum(output.outcome == outcome for output in outputs) for outcome in ("win", "tie", "loss")}
    given = {
        scorer.label: [output.scores[scorer.label] for output in outputs if scorer.label in output.scores]
        for scorer in settings.scorers
    }
    return VersionSummary(
        n=len(outputs),
        **tally,
        win_tie_rate=rate.value,
        ci=(rate.low, rate.high),
        consistency=sum(output.consistent for output in outputs) / len(outputs),
        length_ratio=sum(output.length_ratio for output in outputs) / len(outputs),
        distinct_2=distinct_n([output.text for output in outputs]),
        scores={name: sum(values) / len(values) for name, values in given.items() if values},
        shares=[name for name, values in given.items() if values and set(values) <= {0.0, 1.0}],
        unscored={name: len(outputs) - len(values) for name, values in given.items() if len(values) < len(outputs)},
    )


def gain(
    before: Sequence[JudgedOutput], after: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int
) -> Interval | None:
    """The paired difference in win-tie rate over the inputs both versions were judged on; None where there are none."""
    earlier = {output.input_id: output.credit for output in before}
    shared = [(earlier[output.input_id], output.credit) for output in after if output.input_id in earlier]
    if not shared:
        return None
    return paired_difference([a for a, _ in shared], [b for _, b in shared], **_bootstrap(settings, seed))


def _bootstrap(settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    return {"confidence": settings.confidence, "samples": settings.bootstrap_samples, "seed": seed}
