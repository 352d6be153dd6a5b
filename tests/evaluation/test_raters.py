import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.records import Outcome
from openmic.evaluation.agreement import cohens_kappa
from openmic.evaluation.intervals import unvaried
from openmic.evaluation.raters import Comparison, rater_agreement

SETTINGS = EvaluationSettings(bootstrap_samples=300)
LETTERS: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}


def said(one: str, other: str, start: int = 0) -> list[Comparison]:
    """A letter (w, t or l) of each rater for each pair, the pairs numbered from `start`."""
    return [Comparison(pair, LETTERS[a], LETTERS[b]) for pair, (a, b) in enumerate(zip(one, other, strict=True), start)]


def test_two_of_one_mind() -> None:
    found = rater_agreement([said("wwltl", "wwltl")], SETTINGS, 1)
    assert found is not None
    assert (found.n, found.pairs, found.twos, found.decided) == (5, 5, 1, 4)
    assert found.share == unvaried(1.0, 5, confidence=0.95, within=(0, 1))
    assert found.kappa is not None
    assert found.kappa.value == 1.0
    assert found.same_winner == unvaried(1.0, 4, confidence=0.95, within=(0, 1))


def test_kappa_of_two_is_cohens() -> None:
    one, other = "wwwwwwttlllllwtlwl", "wwlwtwttllwllttlwl"
    found = rater_agreement([said(one, other)], SETTINGS, 1)
    assert found is not None
    assert found.kappa is not None
    expected = cohens_kappa(list(zip(one, other, strict=True)))
    assert expected is not None
    assert found.kappa.value == pytest.approx(expected)
    assert found.kappa.low < expected < found.kappa.high
    assert found.share.value == pytest.approx(sum(a == b for a, b in zip(one, other, strict=True)) / len(one))


def test_kappa_of_several_is_the_mean_of_twos_by_what_they_share() -> None:
    agreeing, disagreeing = said("wlwlwlwl", "wlwlwlwl"), said("wlwl", "lwlw")
    found = rater_agreement([agreeing, disagreeing, []], SETTINGS, 1)
    assert found is not None
    assert (found.n, found.pairs, found.twos) == (12, 8, 2)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx((8 * 1 + 4 * -1) / 12)


def test_a_tie_against_a_winner_is_no_agreement_but_does_not_count_among_the_decided() -> None:
    found = rater_agreement([said("wtwl", "wwll")], SETTINGS, 1)
    assert found is not None
    assert found.share.value == 0.5
    assert found.decided == 3
    assert found.same_winner is not None
    assert found.same_winner.value == pytest.approx(2 / 3)


def test_the_interval_is_of_pairs_and_not_of_ratings() -> None:
    """Five twos that say the same of the same pairs are no more evidence than one."""
    one, other = "wwlwlwwlwtlwtllw", "wlllwwwlwtlwwlwl"
    alone, together = (rater_agreement([said(one, other)] * times, SETTINGS, 1) for times in (1, 5))
    assert alone is not None
    assert together is not None
    assert together.share == pytest.approx(alone.share)
    assert together.kappa == pytest.approx(alone.kappa)


def test_kappa_is_undefined_where_chance_alone_always_agrees() -> None:
    found = rater_agreement([said("tt", "tt")], SETTINGS, 1)
    assert found is not None
    assert (found.kappa, found.same_winner, found.decided) == (None, None, 0)
    assert rater_agreement([[]], SETTINGS, 1) is None
