"""The promotion gate: whether a new adapter takes the place of the one that serves. It looks at dev inputs alone."""

from collections.abc import Sequence
from typing import NamedTuple

from ...core.config import EvaluationSettings
from ...evaluation.summary import JudgedOutput, gain
from ...evaluation.text_metrics import distinct_n


class GateDecision(NamedTuple):
    """Whether to promote, and why, in words that are kept with the adapter."""

    promoted: bool
    reason: str


UNJUDGED = GateDecision(promoted=True, reason="there are no dev inputs to judge it on")


def decide(
    before: Sequence[JudgedOutput], after: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int
) -> GateDecision:
    """Promote unless the win-tie rate fell beyond its interval and the margin, or diversity collapsed.

    Args:
        before: The promoted adapter's outputs on the dev inputs.
        after: The new adapter's.
        settings: `rollback_margin`, `diversity_floor`, and how intervals are drawn.
        seed: Of the bootstrap.
    """
    difference = gain(before, after, settings, seed)
    if difference is None:
        return UNJUDGED
    known, new = (distinct_n([output.text for output in outputs]) for outputs in (before, after))
    facts = (
        f"gain on {len(after)} dev inputs {difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}], "
        f"distinct-2 {known:.2f} to {new:.2f}"
    )
    if difference.high < -settings.rollback_margin:
        return GateDecision(False, f"{facts}: worse beyond the margin of {settings.rollback_margin:.2f}")
    if new < settings.diversity_floor * known:
        return GateDecision(False, f"{facts}: diversity fell below {settings.diversity_floor:.0%} of what it was")
    return GateDecision(True, facts)
