"""One adapter version against the teacher on held-out inputs, and the gain from one version to another."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.config import EvaluationSettings
from ..core.records import Outcome
from .intervals import Interval, bootstrap_mean, paired_difference
from .text_metrics import distinct_n


@dataclass(frozen=True, slots=True)
class JudgedOutput:
    """One held-out input: what the student said and how the judge compared it with the teacher's."""

    example_id: str
    text: str
    outcome: Outcome
    consistent: bool
    """Whether both orders of the comparison agreed."""
    length_ratio: float
    """Words of the output over words of the input."""
    meets_rubric: bool | None
    """Whether it meets the simulated judge's rubric; None with a real judge."""

    @property
    def credit(self) -> float:
        """1 for a win or a tie, else 0: what the win-tie rate averages."""
        return 0.0 if self.outcome == "loss" else 1.0


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
    rubric_rate: float | None
    length_ratio: float
    distinct_2: float

    def as_json(self) -> dict[str, Any]:
        """The fields, the interval as a list."""
        return {**asdict(self), "ci": list(self.ci)}


def summarize(outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int) -> VersionSummary:
    """Counts, rates and the win-tie rate's bootstrap interval over inputs. Needs at least one output."""
    rate = bootstrap_mean([output.credit for output in outputs], **_bootstrap(settings, seed))
    tally = {outcome: sum(output.outcome == outcome for output in outputs) for outcome in ("win", "tie", "loss")}
    rubric = [output.meets_rubric for output in outputs if output.meets_rubric is not None]
    return VersionSummary(
        n=len(outputs),
        **tally,
        win_tie_rate=rate.value,
        ci=(rate.low, rate.high),
        consistency=sum(output.consistent for output in outputs) / len(outputs),
        rubric_rate=sum(rubric) / len(rubric) if rubric else None,
        length_ratio=sum(output.length_ratio for output in outputs) / len(outputs),
        distinct_2=distinct_n([output.text for output in outputs]),
    )


def gain(
    before: Sequence[JudgedOutput], after: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int
) -> Interval | None:
    """The paired difference in win-tie rate over the inputs both versions were judged on; None where there are none."""
    earlier = {output.example_id: output.credit for output in before}
    shared = [(earlier[output.example_id], output.credit) for output in after if output.example_id in earlier]
    if not shared:
        return None
    return paired_difference([a for a, _ in shared], [b for _, b in shared], **_bootstrap(settings, seed))


def _bootstrap(settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    return {"confidence": settings.confidence, "samples": settings.bootstrap_samples, "seed": seed}
