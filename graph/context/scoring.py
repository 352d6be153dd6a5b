"""The scorers of an evaluation: each gives every output a number, and none of them can lose an output."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ...core.config import EvaluationSettings
from ...core.errors import OpenmicError
from ...core.records import Input
from ...evaluation.scorers import SHIPPED_SCORERS, NamedScorer, as_scorer
from .plugs import Plugs


def scorers_of(settings: EvaluationSettings, plugs: Plugs) -> list[NamedScorer]:
    """The scorers that the configuration names, in its order.

    Raises:
        ConfigError: one cannot be imported or made, or is no scorer.
    """
    return [
        as_scorer(plugs.load(scorer_key(place), plug, SHIPPED_SCORERS), plug.label, where=scorer_key(place))
        for place, plug in enumerate(settings.scorers)
    ]


def scorer_key(place: int) -> str:
    """Where a scorer is set."""
    return f"evaluation.scorers.{place}"


class Scoring:
    """Scores outputs one by one, and counts where a scorer failed."""

    def __init__(self, scorers: Sequence[NamedScorer]) -> None:
        self._scorers = scorers
        self._failures: dict[str, list[OpenmicError]] = {}

    async def score(self, source: Input, output: str) -> dict[str, float]:
        """The scores of one output by the scorers' names; one that failed is missing."""
        scores = {}
        for scorer in self._scorers:
            try:
                [scores[scorer.name]] = await scorer.score(source, [output])
            except OpenmicError as error:
                self._failures.setdefault(scorer.name, []).append(error)
        return scores

    @property
    def failures(self) -> list[str]:
        """One line for each scorer that failed: how many outputs lack its score, and the first reason."""
        return [
            f"{len(errors)} {'output has' if len(errors) == 1 else 'outputs have'} no score of {name}: {errors[0]}"
            for name, errors in self._failures.items()
        ]


@asynccontextmanager
async def open_scoring(settings: EvaluationSettings, plugs: Plugs) -> AsyncIterator[Scoring]:
    """The configuration's scorers for the time of an evaluation; what they hold, such as weights, goes with it.

    Raises:
        ConfigError: as `scorers_of`.
    """
    scorers = scorers_of(settings, plugs)
    try:
        yield Scoring(scorers)
    finally:
        for place, scorer in enumerate(scorers):
            if plugs.given(scorer_key(place)) is None:  # what was given is its owner's to close
                await scorer.close()
