"""What a critic's verdicts on pairs that people labelled come to. All intervals resample pairs.

The critic's side of a pair are its two probabilities, one for each order. People's side is what more of them said; each
person for themselves, too, where several labelled.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

from ...core.config import EvaluationSettings
from ...core.records import Outcome
from ...core.text import length
from ..bootstrap import bootstrap_mean, bootstrap_ratio
from ..intervals import FEW, Interval, plain
from ..raters import Comparison, RaterAgreement, rater_agreement
from .pairs import LabelledPair, majority

BINS = 10
"""Of the calibration curve, between 1/2 and 1."""
BANDS = 4
"""Of margins, where there are more different ones."""


class JudgedPair(NamedTuple):
    """A labelled pair and what the critic said of it."""

    pair: LabelledPair
    outcome: Outcome
    """How the first text fared, from both orders."""
    p_forward: float
    """p(first better) with the first text shown first."""
    p_reverse: float
    """p(first better) with it shown second."""

    @property
    def p_first(self) -> float:
        """p(first better), the mean of both orders."""
        return (self.p_forward + self.p_reverse) / 2


@dataclass(frozen=True, slots=True)
class Band:
    """The pairs with a margin between two ends, and how often the critic chose as people did there."""

    low: float
    high: float
    n: int
    """Pairs that people decided."""
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Bin:
    """The pairs whose winner the critic was so sure of."""

    low: float
    high: float
    n: int
    confidence: float
    """The mean of its p for the text it prefers."""
    accuracy: Interval
    """Share of them in which people prefer that text."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether the critic is right as often as it is sure, on pairs that people decided."""

    n: int
    even: int
    """Pairs on which its p is 1/2, which prefers neither and stands in no bin."""
    error: float | None
    """Expected calibration error (Guo et al. 2017): |confidence - accuracy|, weighted by pairs. None without pairs."""
    bins: list[Bin]


@dataclass(frozen=True, slots=True)
class Position:
    """What the order in which the texts are shown does. Of all pairs."""

    turned: Interval
    """Share of verdicts whose choice changes with the order."""
    to_first: Interval
    """Share in which each order prefers the text shown first."""
    to_second: Interval
    """Share in which each order prefers the text shown second."""


@dataclass(frozen=True, slots=True)
class Length:
    """What length does. Of the pairs whose texts differ in their number of words."""

    n: int
    people_longer: Interval | None
    """Of those that people decided, the share that chose the longer text."""
    critic_longer: Interval | None
    """The same of those that the critic decided."""
    critic_alone_longer: Interval | None
    """Share in which people prefer the shorter text and the critic the longer (Ravi et al. 2024)."""
    people_alone_longer: Interval | None
    """The other way round."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How far one person agrees with the others, and the critic with the same others.

    Each person of a pair is left out once, and compared with what more of the others said, where these decided.
    """

    n: int
    """Comparisons."""
    person: Interval
    critic: Interval


@dataclass(frozen=True, slots=True)
class CriticCard:
    """How far a critic can be believed. Shares are in [0, 1]."""

    pairs: int
    """That the critic gave a verdict on."""
    decided: int
    """Of them, those that people decided: not a tie of all their labels."""
    labels: dict[str, int]
    """How many each person gave, by their column."""
    accuracy: Interval | None
    """Share of the decided pairs in which the critic prefers the same text; a tie of its own is half right."""
    ties: Interval
    """Share of all pairs that the critic called a tie."""
    agreement: RaterAgreement
    """With what more people said, ties among it: share, Cohen's kappa, and share of the pairs that both decided."""
    each_person: RaterAgreement | None
    """The critic with each person, where there are several."""
    people: RaterAgreement | None
    """Every two people."""
    ceiling: Ceiling | None
    """None where no pair was labelled by two."""
    position: Position
    length: Length
    calibration: Calibration
    by_critics_margin: list[Band]
    """How sure the critic is: 2 |p - 1/2|."""
    by_peoples_margin: list[Band]
    """As the file says it, else |votes for the one - votes for the other| over votes where several labelled."""
    few: bool
    """Whether there are too few pairs to say much."""

    def as_json(self) -> dict[str, Any]:
        """The fields, intervals as `value` and `ci`."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def critic_card(judged: Sequence[JudgedPair], settings: EvaluationSettings, seed: int) -> CriticCard:
    """What the verdicts come to. Needs at least one.

    Args:
        judged: One for each pair.
        settings: The confidence, and how many resamples.
        seed: Makes intervals reproducible.
    """
    bootstrap: dict[str, Any] = {
        "confidence": settings.confidence,
        "samples": settings.bootstrap_samples,
        "seed": seed,
    }
    decided = [one for one in judged if one.pair.outcome != "tie"]
    labels = Counter(name for one in judged for name in one.pair.votes)
    several = len(labels) > 1
    whole = [Comparison(place, one.outcome, one.pair.outcome) for place, one in enumerate(judged)]
    agreement = rater_agreement([whole], settings, seed)
    assert agreement is not None

    def mean(values: Iterable[float]) -> Interval | None:
        found = list(values)
        return bootstrap_mean(found, **bootstrap) if found else None

    def share(what: Callable[[JudgedPair], bool]) -> Interval:
        return bootstrap_mean([float(what(one)) for one in judged], **bootstrap)

    def bands(margins: Sequence[tuple[float, JudgedPair]]) -> list[Band]:
        found = _bands([(margin, one) for margin, one in margins if one.pair.outcome != "tie"])
        return [
            Band(low, high, len(those), bootstrap_mean([_right(one) for one in those], **bootstrap))
            for low, high, those in found
        ]

    return CriticCard(
        pairs=len(judged),
        decided=len(decided),
        labels=dict(labels),
        accuracy=mean(_right(one) for one in decided),
        ties=share(lambda one: one.outcome == "tie"),
        agreement=agreement,
        each_person=rater_agreement(_with_critic(judged), settings, seed) if several else None,
        people=rater_agreement(_with_each_other(judged), settings, seed),
        ceiling=_ceiling(judged, bootstrap),
        position=Position(
            turned=share(lambda one: (one.p_forward - 0.5) * (one.p_reverse - 0.5) < 0),
            to_first=share(lambda one: one.p_forward > 0.5 > one.p_reverse),
            to_second=share(lambda one: one.p_forward < 0.5 < one.p_reverse),
        ),
        length=_length([one for one in judged if _longer(one.pair)], mean),
        calibration=_calibration(decided, bootstrap),
        by_critics_margin=bands([(2 * abs(one.p_first - 0.5), one) for one in judged]),
        by_peoples_margin=bands([(margin, one) for one in judged if (margin := _margin(one.pair)) is not None]),
        few=len(decided) < FEW,
    )


def _right(one: JudgedPair) -> float:
    """How right the critic is about a pair that people decided."""
    return 0.5 if one.outcome == "tie" else float(one.outcome == one.pair.outcome)


def _with_critic(judged: Sequence[JudgedPair]) -> list[list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for place, one in enumerate(judged):
        for name, vote in one.pair.votes.items():
            found.setdefault(name, []).append(Comparison(place, one.outcome, vote))
    return list(found.values())


def _with_each_other(judged: Sequence[JudgedPair]) -> list[list[Comparison]]:
    found: dict[tuple[str, str], list[Comparison]] = {}
    for place, one in enumerate(judged):
        for (name, vote), (other, others) in combinations(one.pair.votes.items(), 2):
            found.setdefault((name, other), []).append(Comparison(place, vote, others))
    return list(found.values())


def _ceiling(judged: Sequence[JudgedPair], bootstrap: dict[str, Any]) -> Ceiling | None:
    parts = []
    for one in judged:
        person = critic = n = 0.0
        for name, vote in one.pair.votes.items():
            rest = majority(other for whose, other in one.pair.votes.items() if whose != name)
            if rest == "tie":
                continue
            n += 1
            person += 0.5 if vote == "tie" else vote == rest
            critic += 0.5 if one.outcome == "tie" else one.outcome == rest
        parts.append((person, critic, n))
    of_person = bootstrap_ratio([(person, n) for person, _, n in parts], **bootstrap)
    of_critic = bootstrap_ratio([(critic, n) for _, critic, n in parts], **bootstrap)
    if of_person is None or of_critic is None:
        return None
    return Ceiling(round(sum(n for *_, n in parts)), of_person, of_critic)


def _length(unlike: Sequence[JudgedPair], mean: Callable[[Iterable[float]], Interval | None]) -> Length:
    longer = [(_longer(one.pair), one.pair.outcome, one.outcome) for one in unlike]
    return Length(
        n=len(unlike),
        people_longer=mean(people == long for long, people, _ in longer if people != "tie"),
        critic_longer=mean(critic == long for long, _, critic in longer if critic != "tie"),
        critic_alone_longer=mean(critic == long and people not in {long, "tie"} for long, people, critic in longer),
        people_alone_longer=mean(people == long and critic not in {long, "tie"} for long, people, critic in longer),
    )


def _longer(pair: LabelledPair) -> Outcome | None:
    """The outcome that prefers the longer text; None where they are as long."""
    first, second = length(pair.first), length(pair.second)
    return None if first == second else "win" if first > second else "loss"


def _calibration(decided: Sequence[JudgedPair], bootstrap: dict[str, Any]) -> Calibration:
    sure: list[tuple[float, float]] = []
    for one in decided:
        if one.p_first != 0.5:
            prefers: Outcome = "win" if one.p_first > 0.5 else "loss"
            sure.append((max(one.p_first, 1 - one.p_first), float(prefers == one.pair.outcome)))
    bins = []
    for place in range(BINS):
        those = [each for each in sure if min(BINS - 1, int((each[0] - 0.5) * 2 * BINS)) == place]
        if those:
            confidence = sum(p for p, _ in those) / len(those)
            accuracy = bootstrap_mean([right for _, right in those], **bootstrap)
            ends = 0.5 + place / (2 * BINS), 0.5 + (place + 1) / (2 * BINS)
            bins.append(Bin(*ends, len(those), confidence, accuracy))
    error = sum(one.n * abs(one.confidence - one.accuracy.value) for one in bins) / len(sure) if sure else None
    return Calibration(len(sure), len(decided) - len(sure), error, bins)


def _margin(pair: LabelledPair) -> float | None:
    if pair.margin is not None:
        return pair.margin
    if len(pair.votes) < 2:
        return None
    counts = Counter(pair.votes.values())
    return abs(counts["win"] - counts["loss"]) / len(pair.votes)


def _bands(margins: Sequence[tuple[float, JudgedPair]]) -> list[tuple[float, float, list[JudgedPair]]]:
    """The pairs by their margins: each by itself where there are few different ones, else quarters.

    Pairs of one margin are in one band, so that quarters may differ in size.
    """
    ordered = sorted(((round(margin, 9), one) for margin, one in margins), key=lambda each: each[0])
    different = sorted({margin for margin, _ in ordered})
    if len(different) > BANDS:
        tops = [ordered[len(ordered) * (place + 1) // BANDS - 1][0] for place in range(BANDS)]
        different = sorted(set(tops))
    found, low = [], float("-inf")
    for high in different:
        those = [(margin, one) for margin, one in ordered if low < margin <= high]
        if those:
            found.append((those[0][0], those[-1][0], [one for _, one in those]))
        low = high
    return found
