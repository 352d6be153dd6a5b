"""What a version's summary says, as people read it. Works nothing out."""

from collections.abc import Iterable, Mapping
from typing import Any

NOTHING_DECIDED = "nothing decided"
"""What stands in place of a win-tie rate where every comparison was a tie."""


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
