import json

import pytest

from openmic.evaluation.arms.summary import arm_difference, arm_summary

from .simulated import SETTINGS, outputs


def test_an_arm_is_counted_and_its_rates_have_intervals() -> None:
    found = arm_summary(outputs("wwwttlllll", critic="wwwwwwllll"), SETTINGS, 1)
    assert found is not None
    assert (found.inputs, found.seeds, found.win, found.tie, found.loss) == (10, 1, 3, 2, 5)
    assert found.win_tie_rate.value == 0.5
    assert found.win_rate.value == pytest.approx(0.4)
    assert found.consistency.value == pytest.approx(0.8)
    assert found.critic is not None
    assert found.critic_minus_judge is not None
    assert found.critic.value == pytest.approx(0.6)
    assert found.critic_minus_judge.value == pytest.approx(0.1)
    assert found.critic_minus_judge.low <= 0.1 <= found.critic_minus_judge.high
    assert found.by_seed == {0: 0.5}
    told = json.loads(json.dumps(found.as_json()))
    assert told["win_tie_rate"]["value"] == 0.5
    assert len(told["length_controlled"]["ci"]) == 2


def test_seeds_are_pooled_over_the_inputs_that_all_of_them_have() -> None:
    found = arm_summary([*outputs("wwll", seed=1), *outputs("wlll", seed=2), *outputs("wwwwl", seed=3)], SETTINGS, 1)
    assert found is not None
    assert (found.inputs, found.seeds, found.left_out) == (4, 3, 1)
    assert (found.win, found.loss) == (7, 5)
    assert found.by_seed == {1: 0.5, 2: 0.25, 3: 1.0}
    assert found.win_tie_rate.value == pytest.approx(7 / 12)


def test_a_critic_that_was_not_asked_everything_is_compared_where_it_was() -> None:
    found = arm_summary([*outputs("wl", critic="ww"), *outputs("ww", start=2)], SETTINGS, 1)
    assert found is not None
    assert found.critic_outputs == 2
    assert found.critic_minus_judge is not None
    assert found.critic_minus_judge.value == 0.5
    alone = arm_summary(outputs("wl"), SETTINGS, 1)
    assert alone is not None
    assert (alone.critic, alone.critic_minus_judge, alone.critic_outputs) == (None, None, 0)


def test_nothing_in_common_is_no_summary() -> None:
    assert arm_summary([], SETTINGS, 1) is None
    assert arm_summary([*outputs("w", seed=1), *outputs("w", seed=2, start=1)], SETTINGS, 1) is None
    assert arm_difference(outputs("w"), outputs("w", start=1), SETTINGS, 1) is None


@pytest.mark.parametrize("judge", ["w", "l", "t", "tttttttt"])
def test_one_input_and_all_ties_are_fine(judge: str) -> None:
    found = arm_summary(outputs(judge), SETTINGS, 1)
    assert found is not None
    for low, high in (each[1:] for each in (found.win_tie_rate, found.win_rate, found.length_controlled)):
        assert 0 <= low <= high <= 1


def test_two_outputs_for_one_input_and_seed_are_refused() -> None:
    with pytest.raises(AssertionError, match="two outputs for input input 0 with seed 0"):
        arm_summary([*outputs("w"), *outputs("l")], SETTINGS, 1)


def test_the_difference_of_two_arms_is_paired() -> None:
    found = arm_difference(outputs("lllllwww"), outputs("wwwwlwww"), SETTINGS, 1)
    assert found is not None
    assert found.value == 0.5
    assert found.p == pytest.approx(0.125)
