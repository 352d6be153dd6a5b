import pytest

from openmic.core.records import Outcome, Stage
from openmic.graph.rollout.preferences import preference_from, teacher_preference
from openmic.store import Dialogue, VerdictRow

from .test_selection import draft

DIALOGUE = Dialogue(id="d", run_id="RUN1", stage=Stage.COLLECT, round=2, example_id="e")
FIRST, SECOND = draft("a", "one two three four"), draft("b", "one two")


def verdict(outcome: Outcome, p_forward: float, p_reverse: float) -> VerdictRow:
    return VerdictRow(
        id="v",
        run_id="RUN1",
        dialogue_id="d",
        agent="critic",
        first_turn_id="a",
        second_turn_id="b",
        forward_turn_id="f",
        reverse_turn_id="r",
        p_forward=p_forward,
        p_reverse=p_reverse,
        p_first=(p_forward + p_reverse) / 2,
        consistent=(p_forward - 0.5) * (p_reverse - 0.5) > 0,
        outcome=outcome,
        method="logprobs",
    )


@pytest.mark.parametrize(
    ("outcome", "p", "chosen", "rejected", "ratio"), [("win", 0.8, "a", "b", 2.0), ("loss", 0.2, "b", "a", 0.5)]
)
def test_a_clear_verdict_prefers_the_better_text(
    outcome: Outcome, p: float, chosen: str, rejected: str, ratio: float
) -> None:
    row = preference_from(DIALOGUE, verdict(outcome, p, p), FIRST, SECOND, "candidates")
    assert row is not None
    assert (row.chosen_turn_id, row.rejected_turn_id) == (chosen, rejected)
    assert row.margin == pytest.approx(0.6)
    assert row.length_ratio == ratio
    assert row.verdict_id == "v"
    assert (row.round, row.dialogue_id, row.example_id, row.source) == (2, "d", "e", "candidates")


def test_a_tie_makes_no_preference() -> None:
    assert preference_from(DIALOGUE, verdict("tie", 0.51, 0.52), FIRST, SECOND, "candidates") is None


def test_orders_that_disagree_make_no_preference_whatever_the_outcome_says() -> None:
    assert preference_from(DIALOGUE, verdict("win", 0.9, 0.4), FIRST, SECOND, "revision") is None


def test_the_same_pair_is_the_same_preference() -> None:
    one, two = (preference_from(DIALOGUE, verdict("win", p, p), FIRST, SECOND, "candidates") for p in (0.8, 0.9))
    assert one is not None
    assert two is not None
    assert one.id == two.id


def test_the_teachers_text_is_preferred_without_a_verdict_and_without_a_margin() -> None:
    row = teacher_preference(DIALOGUE, FIRST, SECOND)
    assert (row.chosen_turn_id, row.rejected_turn_id, row.source) == ("a", "b", "teacher")
    assert row.verdict_id is None
    assert row.margin == 0
