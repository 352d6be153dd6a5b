"""One arm of an experiment as its judge saw it, and two arms beside each other. An arm may have several seeds.

An arm is a way to make outputs: a training by some objective, the bare student, best of k, the teacher. Its outputs on
held-out inputs were each compared with one other text, mostly the teacher's, in both orders.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.config import EvaluationSettings
from ...core.records import JudgedOutput, Outcome, credit
from ...core.text import length
from ..intervals import Interval, plain
from .length_control import length_controlled_rate
from .pooled import Difference, Numbers, balanced, paired, pooled_mean

_HALF: dict[Outcome, float] = {"win": 1.0, "tie": 0.5, "loss": 0.0}


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """What the judge's verdicts say of an arm. Rates are in [0, 1], their intervals over inputs and seeds."""

    inputs: int
    """That every seed has an output for; all rates are over these."""
    seeds: int
    left_out: int
    """Outputs on inputs that another seed has none for."""
    win: int
    tie: int
    loss: int
    """Of outputs."""
    win_tie_rate: Interval
    """Share of wins and ties, as the paper has it (Ravi et al. 2024)."""
    win_rate: Interval
    """A tie is half a win."""
    length_controlled: Interval
    """The win rate at equal length (`length_control`)."""
    consistency: Interval
    """Share of comparisons in which both orders agreed."""
    by_seed: dict[int, float]
    """The win-tie rate of each seed."""
    critic_outputs: int
    """Outputs whose input was judged by the critic too, in every seed."""
    critic: Interval | None
    """The win-tie rate by the critic; None where it judged nothing."""
    critic_minus_judge: Interval | None
    """The critic's win-tie rate less the judge's on the same outputs: above 0 the critic flatters the arm."""

    def as_json(self) -> dict[str, Any]:
        """The fields, intervals as `value` and `ci`."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def arm_summary(outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int) -> ArmSummary | None:
    """What the judge, and the critic beside it, say of one arm.

    Args:
        outputs: At most one of each input and seed.
        settings: The confidence, and how many resamples.
        seed: Makes bootstraps reproducible.

    Returns:
        None where no input has an output of every seed.
    """
    _refuse_twice(outputs)
    judge, left_out = balanced({one.place: credit(one.outcome) for one in outputs})
    if not judge.size:
        return None
    kept = _kept(outputs)

    def over(value: Callable[[JudgedOutput], float]) -> Any:
        return balanced({one.place: value(one) for one in kept})[0]

    both = _kept([one for one in kept if one.critic is not None])
    critics = [(credit(one.critic), credit(one.outcome)) for one in both if one.critic is not None]
    of_critic, of_judge = (
        balanced({one.place: pair[place] for one, pair in zip(both, critics, strict=True)})[0] for place in (0, 1)
    )
    half = over(lambda one: _HALF[one.outcome])
    return ArmSummary(
        inputs=judge.shape[0],
        seeds=judge.shape[1],
        left_out=left_out,
        **{outcome: sum(one.outcome == outcome for one in kept) for outcome in ("win", "tie", "loss")},
        win_tie_rate=pooled_mean(judge, settings, seed),
        win_rate=pooled_mean(half, settings, seed),
        length_controlled=length_controlled_rate(
            half, over(lambda one: length(one.text) - length(one.reference)), settings, seed
        ),
        consistency=pooled_mean(over(lambda one: float(one.consistent)), settings, seed),
        by_seed=dict(zip(sorted({one.seed for one in kept}), judge.mean(axis=0).tolist(), strict=True)),
        critic_outputs=of_critic.size,
        critic=pooled_mean(of_critic, settings, seed) if of_critic.size else None,
        critic_minus_judge=(
            pooled_mean(of_critic - of_judge, settings, seed, within=(-1.0, 1.0)) if of_critic.size else None
        ),
    )


def arm_difference(
    before: Sequence[JudgedOutput], after: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int
) -> Difference | None:
    """By how much the win-tie rate of one arm is above another's, paired by input and seed.

    Returns:
        None where they share no input.
    """
    _refuse_twice(before)
    _refuse_twice(after)
    return paired(_credits(before), _credits(after), settings, seed)


def _credits(outputs: Sequence[JudgedOutput]) -> Numbers:
    return {one.place: credit(one.outcome) for one in outputs}


def _kept(outputs: Sequence[JudgedOutput]) -> list[JudgedOutput]:
    """Those on inputs that every seed has."""
    seeds = {one.seed for one in outputs}
    found = {one.place for one in outputs}
    return [one for one in outputs if all((one.input_id, seed) in found for seed in seeds)]


def _refuse_twice(outputs: Sequence[JudgedOutput]) -> None:
    seen = set[tuple[str, int]]()
    for one in outputs:
        assert one.place not in seen, f"an arm has two outputs for input {one.input_id} with seed {one.seed}"
        seen.add(one.place)
