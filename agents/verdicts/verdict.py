"""What the replies to a comparison add up to: one critic's opinion from both orders, and a jury's verdict.

Every comparison is made in both orders and averaged, against position bias (Ravi et al. 2024). Pure functions of
replies that were read; asking is in `pairwise`, reading in `labels` and `cloze`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from ...core.records import Outcome, VerdictMethod
from ..llm import Origin

JuryRule = Literal["mean", "majority"]

_BY_STRENGTH: tuple[VerdictMethod, ...] = ("text", "sampled", "logprobs", "cloze", "function", "score")


@dataclass(frozen=True, slots=True)
class Ballot:
    """One reply that went into a verdict on two texts A and B."""

    origin: Origin
    member: int
    """Which critic of a jury said it, 0 the first."""
    forward: bool
    """Whether A was shown first; of a cloze or a score, whether it was A that was scored."""
    p_first: float
    """p(A is better) as read from this reply alone; two texts' scores say it together, and both carry it."""
    method: VerdictMethod
    label_mass: float | None = None
    """What both labels had together of the probability where the reply names one or should; None where unknown."""
    answered: bool = True
    """Whether the reply answers the question: it names a label, and the labels' mass is not below the least."""


@dataclass(frozen=True, slots=True)
class _Preference:
    """What an opinion and a verdict have in common."""

    p_forward: float
    """p(A is better) when A is shown first."""
    p_reverse: float
    """p(A is better) when B is shown first."""
    outcome: Outcome
    """How A fared; disagreement of the orders and near-even odds are ties."""
    consistent: bool
    """Whether both orders prefer the same text."""
    method: VerdictMethod
    """How p was read; where replies differ in that, the weakest of their methods."""

    @property
    def p_first(self) -> float:
        """p(A is better), the mean of both orders."""
        return (self.p_forward + self.p_reverse) / 2

    @property
    def margin(self) -> float:
        """How sure it is, in [0, 1]."""
        return abs(self.p_first - 0.5) * 2


@dataclass(frozen=True, slots=True)
class Opinion(_Preference):
    """One critic's preference between two texts A and B."""

    ballots: tuple[Ballot, ...] = field(repr=False)
    """Those of the forward order first."""


@dataclass(frozen=True, slots=True)
class Verdict(_Preference):
    """A preference between two texts A and B: a critic's, or a jury's."""

    opinions: tuple[Opinion, ...] = field(repr=False)
    """Every member's, in the jury's order."""

    @property
    def ballots(self) -> tuple[Ballot, ...]:
        """All replies that went into it: by member, those of the forward order first."""
        return tuple(ballot for opinion in self.opinions for ballot in opinion.ballots)

    @property
    def answered(self) -> bool:
        """Whether every reply that went into it answers the question."""
        return all(ballot.answered for ballot in self.ballots)


def opinion(ballots: Sequence[Ballot], tie_margin: float, *, one_sided: bool = False) -> Opinion:
    """What one critic thinks: in each order the plain mean of its replies, sampled labels thus giving their share.

    `one_sided` takes what it says in the forward order for what it says in both.
    """
    p_forward, p_reverse = (
        fmean(ballot.p_first for ballot in ballots if ballot.forward is (forward or one_sided))
        for forward in (True, False)
    )
    return Opinion(
        p_forward=p_forward,
        p_reverse=p_reverse,
        outcome=_outcome(p_forward, p_reverse, tie_margin),
        consistent=_agree(p_forward, p_reverse),
        method=_weakest([ballot.method for ballot in ballots]),
        ballots=tuple(sorted(ballots, key=lambda ballot: not ballot.forward)),
    )


def verdict(opinions: Sequence[Opinion], rule: JuryRule, tie_margin: float) -> Verdict:
    """What one critic or several decide.

    By `mean` the probabilities of each order are averaged over the members and judged as one critic's are. By
    `majority` the outcome is that of more members, wins against losses, and a tie where these are equal; a decision is
    consistent then, as those who made it are.
    """
    p_forward = fmean(member.p_forward for member in opinions)
    p_reverse = fmean(member.p_reverse for member in opinions)
    outcome, consistent = _outcome(p_forward, p_reverse, tie_margin), _agree(p_forward, p_reverse)
    if rule == "majority":
        votes = Counter(member.outcome for member in opinions)
        outcome = "tie" if votes["win"] == votes["loss"] else "win" if votes["win"] > votes["loss"] else "loss"
        consistent = consistent or outcome != "tie"
    method = _weakest([member.method for member in opinions])
    return Verdict(p_forward, p_reverse, outcome, consistent, method, tuple(opinions))


def _outcome(p_forward: float, p_reverse: float, tie_margin: float) -> Outcome:
    mean = (p_forward + p_reverse) / 2
    if not _agree(p_forward, p_reverse) or mean == 0.5 or abs(mean - 0.5) < tie_margin:
        return "tie"
    return "win" if mean > 0.5 else "loss"


def _agree(p_forward: float, p_reverse: float) -> bool:
    """Whether both orders prefer the same text, or neither prefers any."""
    return (p_forward - 0.5) * (p_reverse - 0.5) > 0 or p_forward == p_reverse == 0.5


def _weakest(methods: Sequence[VerdictMethod]) -> VerdictMethod:
    return min(methods, key=_BY_STRENGTH.index)
