"""One adapter version against the teacher on held-out inputs, and the gain from one version to another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.config import EvaluationSettings
from ..core.records import JudgedOutput
from .intervals import Interval, bootstrap_mean, paired_difference
from .text_metrics import distinct_n

NOTHING_DECIDED = "nothing decided"
"""What stands in place of a win-tie rate where every comparison was a tie."""


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


def score_columns(summaries: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Scorers of a table of versions in order, each with whether all its means are shares.

    Args:
        summaries: `VersionSummary.as_json` of each version; empty ones are passed over.
    """
    columns: dict[str, bool] = {}
    for summary in summaries:
        for name in summary.get("scores", {}):
            columns[name] = columns.get(name, True) and name in summary["shares"]
    return columns


def shown_score(mean: float | None, *, share: bool) -> str:
    """A scorer's mean as people read it: a share in per cent, else three digits; "-" where there is none."""
    if mean is None:
        return "-"
    return shown_share(mean) if share else f"{mean:.3g}"


def undecided(tally: Mapping[str, Any]) -> bool:
    """Whether every comparison was a tie, so that a win-tie rate of 100 % says nothing.

    Args:
        tally: `win`, `tie` and `loss`, as `VersionSummary.as_json` has them.
    """
    return bool(tally["tie"]) and not tally["win"] and not tally["loss"]


def shown_rate(summary: Mapping[str, Any]) -> str:
    """A version's win-tie rate as people read it, from `VersionSummary.as_json`."""
    return NOTHING_DECIDED if undecided(summary) else f"{summary['win_tie_rate']:.1%}"


def shown_share(share: float) -> str:
    """A share in per cent; one that is not 0 is never told as 0."""
    return "under 0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


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
