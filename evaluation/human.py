"""What people's blind ratings say: of the student, of the critic, and of people themselves.

All intervals resample pairs of texts, with all that was said of each, since two people's ratings of one pair are no two
independent facts. Ratings that were passed over count nowhere but in `skipped`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from ..core.config import EvaluationSettings
from ..core.records import Outcome, RatedPair, Rating, credit
from .bootstrap import bootstrap_mean, bootstrap_ratio, paired_difference
from .intervals import FEW, Interval, plain
from .raters import Comparison, RaterAgreement, rater_agreement

_Rated = tuple[RatedPair, list[Rating]]


@dataclass(frozen=True, slots=True)
class VersionRatings:
    """An adapter against the teacher before people, and before the judge on the same inputs."""

    version: int
    pairs: int
    """Inputs."""
    ratings: int
    win: int
    tie: int
    loss: int
    """Of ratings, not inputs."""
    people: Interval
    """Win-tie rate: the mean over inputs of the share of people who found a win or a tie."""
    judge: Interval
    """The judge's win-tie rate on these inputs."""
    difference: Interval
    """The judge's rate less people's, input by input: above 0 the judge flatters the student."""
    people_decided: bool
    """Whether people found anything but ties; else their rate says nothing."""
    judge_decided: bool
    """Likewise the judge."""


@dataclass(frozen=True, slots=True)
class Share:
    """How often something is so."""

    n: int
    """Of how many ratings or verdicts."""
    share: Interval | None
    """None where there are none."""


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Whether it matters where a text stands; 1/2 for whoever does not care, as the places are drawn by lot."""

    people_left: Share
    """Of people's choices, those of the text on the left."""
    critic_first: Share
    """Of the critic's choices, each order for itself, those of the text shown first."""
    critic_turned: Share
    """Of the critic's verdicts, those whose choice changes with the order."""


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Whether longer texts win. Of pairs that differ in their number of words."""

    people_longer: Share
    """Of people's choices, those of the longer text."""
    critic_longer: Share
    """Of the critic's choices, the same."""
    critic_only: Share
    """Of all ratings, those in which the person chose the shorter text and the critic the longer (Ravi et al. 2024)."""


@dataclass(frozen=True, slots=True)
class RatingResults:
    """All that is said about the ratings of a run."""

    pairs: int
    """Pairs of texts that somebody chose between, or found a tie in."""
    ratings: int
    skipped: int
    raters: dict[str, int]
    """How many each person rated, by name."""
    versions: list[VersionRatings]
    """By version; empty for pairs of dialogues."""
    critic: RaterAgreement | None
    """The critic (of test pairs: the judge) with each person; None where nobody rated."""
    people: RaterAgreement | None
    """Every two people; None where no pair was rated by two."""
    position: PositionBias
    length: LengthBias
    few: bool
    """Whether there are too few pairs to say much."""

    def as_json(self) -> dict[str, Any]:
        """The fields, intervals as `value` and `ci`."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def rating_results(pairs: Sequence[RatedPair], settings: EvaluationSettings, seed: int) -> RatingResults:
    """What people's ratings of these pairs come to."""
    given = [(pair, [rating for rating in pair.ratings if rating.outcome is not None]) for pair in pairs]
    rated = [(pair, ratings) for pair, ratings in given if ratings]
    bootstrap = {"confidence": settings.confidence, "samples": settings.bootstrap_samples, "seed": seed}
    raters = Counter(rating.rater for _, ratings in rated for rating in ratings)
    versions = sorted({pair.version for pair, _ in rated if pair.version is not None})
    return RatingResults(
        pairs=len(rated),
        ratings=raters.total(),
        skipped=sum(len(pair.ratings) for pair in pairs) - raters.total(),
        raters=dict(sorted(raters.items())),
        versions=[
            _version(version, [one for one in rated if one[0].version == version], bootstrap) for version in versions
        ],
        critic=rater_agreement(_with_critic(rated), settings, seed),
        people=rater_agreement(_with_each_other(rated), settings, seed),
        position=_position([pair for pair, _ in rated], rated, bootstrap),
        length=_length(rated, bootstrap),
        few=len(rated) < FEW,
    )


def _version(version: int, rated: Sequence[_Rated], bootstrap: dict[str, Any]) -> VersionRatings:
    said = Counter(rating.outcome for _, ratings in rated for rating in ratings)
    people = [sum(credit(rating.outcome) for rating in ratings) / len(ratings) for _, ratings in rated]
    judge = [credit(pair.outcome) for pair, _ in rated]
    return VersionRatings(
        version=version,
        pairs=len(rated),
        ratings=said.total(),
        win=said["win"],
        tie=said["tie"],
        loss=said["loss"],
        people=bootstrap_mean(people, **bootstrap),
        judge=bootstrap_mean(judge, **bootstrap),
        difference=paired_difference(people, judge, **bootstrap),
        people_decided=bool(said["win"] or said["loss"]),
        judge_decided=any(pair.outcome != "tie" for pair, _ in rated),
    )


def _with_critic(rated: Sequence[_Rated]) -> list[list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for number, (pair, ratings) in enumerate(rated):
        for rating in ratings:
            assert rating.outcome is not None
            found.setdefault(rating.rater, []).append(Comparison(number, pair.outcome, rating.outcome))
    return [found[rater] for rater in sorted(found)]


def _with_each_other(rated: Sequence[_Rated]) -> list[list[Comparison]]:
    found: dict[tuple[str, str], list[Comparison]] = {}
    for number, (_, ratings) in enumerate(rated):
        for one, other in combinations(sorted(ratings, key=lambda rating: rating.rater), 2):
            assert one.outcome is not None
            assert other.outcome is not None
            comparison = Comparison(number, one.outcome, other.outcome)
            found.setdefault((one.rater, other.rater), []).append(comparison)
    return [found[two] for two in sorted(found)]


def _position(pairs: Sequence[RatedPair], rated: Sequence[_Rated], bootstrap: dict[str, Any]) -> PositionBias:
    def of_critic(pair: RatedPair) -> Iterable[bool]:
        if pair.p_forward != 0.5:
            yield pair.p_forward > 0.5
        if pair.p_reverse != 0.5:
            yield pair.p_reverse < 0.5

    left = [[rating.first_left == (rating.outcome == "win") for rating in _decided(ratings)] for _, ratings in rated]
    turned = [[(pair.p_forward - 0.5) * (pair.p_reverse - 0.5) < 0] for pair in pairs]
    return PositionBias(
        people_left=_share(left, bootstrap),
        critic_first=_share([list(of_critic(pair)) for pair in pairs], bootstrap),
        critic_turned=_share(turned, bootstrap),
    )


def _length(rated: Sequence[_Rated], bootstrap: dict[str, Any]) -> LengthBias:
    unlike = [(pair, ratings) for pair, ratings in rated if pair.first_length != pair.second_length]

    def of_pairs(what: Callable[[RatedPair, list[Rating]], Iterable[bool]]) -> Share:
        return _share([list(what(pair, ratings)) for pair, ratings in unlike], bootstrap)

    return LengthBias(
        people_longer=of_pairs(lambda pair, ratings: (_longer(pair, rating.outcome) for rating in _decided(ratings))),
        critic_longer=of_pairs(lambda pair, _: () if pair.outcome == "tie" else (_longer(pair, pair.outcome),)),
        critic_only=of_pairs(
            lambda pair, ratings: (
                "tie" not in {pair.outcome, rating.outcome}
                and _longer(pair, pair.outcome)
                and not _longer(pair, rating.outcome)
                for rating in ratings
            )
        ),
    )


def _share(found: Sequence[Sequence[bool]], bootstrap: dict[str, Any]) -> Share:
    """Of all that was found, pair by pair."""
    parts = [(float(sum(those)), float(len(those))) for those in found]
    return Share(sum(map(len, found)), bootstrap_ratio(parts, **bootstrap))


def _decided(ratings: Iterable[Rating]) -> list[Rating]:
    return [rating for rating in ratings if rating.outcome != "tie"]


def _longer(pair: RatedPair, outcome: Outcome | None) -> bool:
    """Whether an outcome that is no tie is for the longer text."""
    return (pair.first_length > pair.second_length) == (outcome == "win")
