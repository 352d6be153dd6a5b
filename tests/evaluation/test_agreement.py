import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.records import Outcome
from openmic.evaluation.agreement import agreement, cohens_kappa

SETTINGS = EvaluationSettings(bootstrap_samples=200)


def test_two_critics_of_one_mind() -> None:
    found = agreement([("win", "win"), ("loss", "loss"), ("tie", "tie")], SETTINGS, 1)
    assert (found.agreement, found.kappa, found.decided, found.decided_agreement) == (1.0, 1.0, 2, 1.0)
    assert 0 < found.ci[0] < found.ci[1] == 1.0


def test_ties_count_against_agreement_but_not_against_the_same_winner() -> None:
    pairs: list[tuple[Outcome, Outcome]] = [("win", "tie"), ("win", "win"), ("loss", "win"), ("tie", "tie")]
    found = agreement(pairs, SETTINGS, 1)
    assert found.agreement == 0.5
    assert (found.decided, found.decided_agreement) == (2, 0.5)
    low, high = found.ci
    assert low < 0.5 < high
    assert found.as_json()["ci"] == [low, high]


def test_kappa_of_a_known_table() -> None:
    # Yes/yes 20, yes/no 5, no/yes 10, no/no 15: observed 0.7, chance 0.5.
    table = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(table) == pytest.approx(0.4)


def test_kappa_is_undefined_where_chance_alone_always_agrees() -> None:
    found = agreement([("win", "win")] * 3, SETTINGS, 1)
    assert found.kappa is None
    assert agreement([("tie", "tie")], SETTINGS, 1).decided_agreement is None
