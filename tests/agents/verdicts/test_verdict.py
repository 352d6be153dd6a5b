from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.verdicts.verdict import Ballot, JuryRule, Opinion, Verdict, opinion, verdict
from openmic.core.records import VerdictMethod

from ...properties import steady
from ..exchanges import exchange, reply

PROBABILITY = st.floats(0.001, 0.999)
MARGIN = 0.05


def ballot(p_first: float, *, forward: bool, method: VerdictMethod = "logprobs", member: int = 0) -> Ballot:
    return Ballot(exchange(reply("1")), member, forward, p_first, method)


def of(p_forward: float, p_reverse: float, tie_margin: float = MARGIN) -> Opinion:
    """What a critic thinks that gives the first text these odds, shown first and shown second."""
    return opinion([ballot(p_forward, forward=True), ballot(p_reverse, forward=False)], tie_margin)


def decided(*opinions: Opinion, rule: JuryRule = "mean") -> Verdict:
    return verdict(opinions, rule, MARGIN)


# One critic, both orders


def test_a_text_that_wins_in_both_orders_wins() -> None:
    won = of(0.9, 0.7)
    assert (won.outcome, won.consistent) == ("win", True)
    assert (won.p_forward, won.p_reverse) == (0.9, 0.7)
    assert (won.p_first, won.margin) == (pytest.approx(0.8), pytest.approx(0.6))


def test_a_text_that_loses_in_both_orders_loses() -> None:
    lost = of(0.2, 0.1)
    assert (lost.outcome, lost.consistent) == ("loss", True)
    assert (lost.p_first, lost.margin) == (pytest.approx(0.15), pytest.approx(0.7))


@pytest.mark.parametrize(("forward", "reverse"), [(0.95, 0.4), (0.99, 0.01), (0.05, 0.6), (0.5, 0.9)])
def test_orders_that_disagree_are_a_tie(forward: float, reverse: float) -> None:
    biased = of(forward, reverse)
    assert (biased.outcome, biased.consistent) == ("tie", False)


def test_near_even_odds_are_a_tie_though_the_orders_agree() -> None:
    assert (of(0.53, 0.54).outcome, of(0.53, 0.54).consistent) == ("tie", True)
    assert of(0.53, 0.54, tie_margin=0.02).outcome == "win"
    assert of(0.5, 0.5, tie_margin=0).outcome == "tie"


def test_sampled_labels_are_averaged_in_each_order() -> None:
    labels = [ballot(p, forward=True, method="sampled") for p in (1, 1, 0, 1)]
    labels += [ballot(p, forward=False, method="sampled") for p in (1, 0)]
    sampled = opinion(labels[::-1], MARGIN)
    assert (sampled.p_forward, sampled.p_reverse, sampled.method) == (0.75, 0.5, "sampled")
    assert [ballot.forward for ballot in sampled.ballots] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("forward", "reverse", "whole"),
    [
        ("logprobs", "logprobs", "logprobs"),
        ("logprobs", "text", "text"),
        ("sampled", "logprobs", "sampled"),
        ("text", "sampled", "text"),
        ("cloze", "cloze", "cloze"),
    ],
)
def test_a_verdict_is_called_by_the_weakest_way_it_was_read(
    forward: VerdictMethod, reverse: VerdictMethod, whole: VerdictMethod
) -> None:
    mixed = opinion([ballot(0.9, forward=True, method=forward), ballot(0.9, forward=False, method=reverse)], MARGIN)
    assert decided(mixed).method == mixed.method == whole


def test_every_method_has_a_rank() -> None:
    for method in get_args(VerdictMethod):
        assert of(0.9, 0.9).method == "logprobs"
        same = opinion([ballot(0.9, forward=order, method=method) for order in (True, False)], MARGIN)
        assert same.method == method


@steady
@given(PROBABILITY, PROBABILITY, st.floats(0, 0.4))
def test_exchanging_the_texts_turns_the_verdict_round(forward: float, reverse: float, tie_margin: float) -> None:
    there, back = of(forward, reverse, tie_margin), of(1 - reverse, 1 - forward, tie_margin)
    assert back.p_first == pytest.approx(1 - there.p_first)
    assert back.margin == pytest.approx(there.margin)
    opposite = {"win": "loss", "loss": "win", "tie": "tie"}
    if abs(abs(there.p_first - 0.5) - tie_margin) > 1e-9 and min(abs(forward - 0.5), abs(reverse - 0.5)) > 1e-9:
        assert back.outcome == opposite[there.outcome]


# A jury


def test_one_critic_is_a_jury_of_one_by_either_rule() -> None:
    for p_forward, p_reverse in ((0.9, 0.8), (0.9, 0.1), (0.52, 0.52), (0.1, 0.3)):
        alone = of(p_forward, p_reverse)
        for rule in get_args(JuryRule):
            whole = decided(alone, rule=rule)
            assert (whole.p_forward, whole.p_reverse, whole.outcome, whole.consistent) == (
                (alone.p_forward, alone.p_reverse, alone.outcome, alone.consistent)
            )
            assert whole.opinions == (alone,)
            assert whole.ballots == alone.ballots


def test_by_mean_one_that_is_sure_outweighs_two_that_are_not() -> None:
    jury = of(0.99, 0.99), of(0.4, 0.44), of(0.44, 0.4)
    by_mean = decided(*jury)
    assert (by_mean.outcome, by_mean.consistent) == ("win", True)
    assert by_mean.p_forward == pytest.approx((0.99 + 0.4 + 0.44) / 3)
    assert decided(*jury, rule="majority").outcome == "loss"


def test_by_mean_biases_that_are_opposite_cancel() -> None:
    whole = decided(of(0.95, 0.6), of(0.55, 0.9))
    assert (whole.outcome, whole.p_forward, whole.p_reverse) == ("win", pytest.approx(0.75), pytest.approx(0.75))
    assert decided(of(0.9, 0.2), of(0.9, 0.2)).outcome == "tie"


def test_by_majority_members_that_are_torn_abstain() -> None:
    torn = of(0.9, 0.1)
    assert decided(of(0.9, 0.9), torn, torn, rule="majority").outcome == "win"
    assert decided(of(0.9, 0.9), of(0.1, 0.1), torn, rule="majority").outcome == "tie"
    assert decided(torn, torn, rule="majority").consistent is False


@steady
@given(st.lists(st.tuples(PROBABILITY, PROBABILITY), min_size=1, max_size=5), st.sampled_from(get_args(JuryRule)))
def test_a_decision_is_always_consistent(odds: list[tuple[float, float]], rule: JuryRule) -> None:
    whole = decided(*(of(*pair) for pair in odds), rule=rule)
    assert whole.consistent or whole.outcome == "tie"
    assert 0 <= whole.margin <= 1


def test_the_ballots_come_by_member_and_forward_first() -> None:
    members = [
        opinion([ballot(0.9, forward=order, member=member) for order in (False, True)], MARGIN) for member in (0, 1)
    ]
    assert [(b.member, b.forward) for b in decided(*members).ballots] == [
        (0, True),
        (0, False),
        (1, True),
        (1, False),
    ]
