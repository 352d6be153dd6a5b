import json
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_kappa

from openmic.core.config import EvaluationSettings
from openmic.core.records import Outcome
from openmic.evaluation.card.card import CriticCard, JudgedPair, critic_card
from openmic.evaluation.card.pairs import LabelledPair

SETTINGS = EvaluationSettings(bootstrap_samples=300)
OUTCOMES: tuple[Outcome, ...] = ("win", "loss", "tie")


def outcome_of(p_forward: float, p_reverse: float) -> Outcome:
    agree = (p_forward - 0.5) * (p_reverse - 0.5) > 0
    return "tie" if not agree else "win" if p_forward > 0.5 else "loss"


def judged(
    people: Outcome | Sequence[Outcome],
    forward: float,
    reverse: float | None = None,
    texts: str = "a b",
    margin: float | None = None,
) -> JudgedPair:
    """A pair that people found to be so, and the critic's p in both orders."""
    votes = {"ann": people} if isinstance(people, str) else {f"person {i}": vote for i, vote in enumerate(people)}
    first, second = (" ".join(part) for part in texts.split(" "))
    backward = forward if reverse is None else reverse
    return JudgedPair(
        LabelledPair("line 2", "", first, second, votes, margin), outcome_of(forward, backward), forward, backward
    )


def card(*pairs: JudgedPair) -> CriticCard:
    return critic_card(pairs, SETTINGS, 1)


def drawn(seed: int, count: int = 300) -> list[JudgedPair]:
    """A critic who is right in two of three pairs, and of whose verdicts a quarter change with the order."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        people = OUTCOMES[generator.choice(3, p=[0.45, 0.45, 0.1])]
        right = generator.random() < 2 / 3
        p = 0.5 + generator.random() / 2 * (1 if (people == "win") == right else -1)
        found.append(judged(people, p, 1 - p if generator.random() < 0.25 else p))
    return found


def test_kappa_is_scikit_learns_and_statsmodels() -> None:
    given = drawn(1)
    found = critic_card(given, SETTINGS, 1).agreement
    critic, people = [one.outcome for one in given], [one.pair.outcome for one in given]
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score(critic, people))
    table = [[sum(pair == (a, b) for pair in zip(critic, people, strict=True)) for b in OUTCOMES] for a in OUTCOMES]
    assert found.kappa.value == pytest.approx(statsmodels_kappa(np.array(table)).kappa)
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_a_tie_of_the_critic_is_half_right_and_one_of_people_counts_nowhere() -> None:
    found = card(judged("win", 0.9), judged("loss", 0.9), judged("win", 0.9, 0.1), judged("tie", 0.9))
    assert found.decided == 3
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(0.5)
    assert found.ties.value == 0.25
    assert found.agreement.share.value == 0.25
    assert found.few


def test_the_interval_of_accuracy_covers_the_truth_as_often_as_it_says() -> None:
    settings = EvaluationSettings(bootstrap_samples=100)
    found = []
    for seed in range(200):
        given = [one for one in drawn(seed, 150) if one.pair.outcome != "tie" and one.outcome != "tie"]
        accuracy = critic_card(given, settings, seed).accuracy
        assert accuracy is not None
        found.append(accuracy.low <= 2 / 3 <= accuracy.high)
    assert sum(found) / len(found) >= 0.9


def test_position_bias_is_told_with_its_direction() -> None:
    found = card(
        judged("win", 0.9, 0.2), judged("win", 0.9, 0.2), judged("win", 0.1, 0.8), judged("win", 0.9, 0.8)
    ).position
    assert (found.turned.value, found.to_first.value, found.to_second.value) == (0.75, 0.5, 0.25)


def test_length_bias_is_told_in_both_directions() -> None:
    found = card(
        judged("loss", 0.9, texts="abc d"),  # people the shorter, the critic the longer
        judged("win", 0.1, texts="abc d"),  # the other way round
        judged("win", 0.9, texts="abc d"),
        judged("loss", 0.5, texts="a bcd"),
        judged("win", 0.9, texts="a b"),  # as long as each other
    ).length
    assert found.n == 4
    assert found.people_longer is not None
    assert found.critic_longer is not None
    assert found.critic_alone_longer is not None
    assert found.people_alone_longer is not None
    assert found.people_longer.value == 0.75
    assert found.critic_longer.value == pytest.approx(2 / 3)
    assert found.critic_alone_longer.value == 0.25
    assert found.people_alone_longer.value == 0.25


def test_calibration_is_scikit_learns() -> None:
    generator = np.random.default_rng(3)
    given = []
    for _ in range(500):
        p = generator.random()
        given.append(judged("win" if generator.random() < 0.5 + (p - 0.5) / 2 else "loss", p))
    found = critic_card(given, SETTINGS, 1).calibration
    sure = np.array([max(one.p_first, 1 - one.p_first) for one in given])
    right = np.array([(one.p_first > 0.5) == (one.pair.outcome == "win") for one in given])
    # scikit-learn's bins are of [0, 1]: twenty of them have ten in its upper half.
    shares, means = calibration_curve(right, sure, n_bins=20)
    assert [one.accuracy.value for one in found.bins] == pytest.approx(shares.tolist())
    assert [one.confidence for one in found.bins] == pytest.approx(means.tolist())
    assert found.error is not None
    assert found.error == pytest.approx(
        sum(one.n * abs(one.accuracy.value - one.confidence) for one in found.bins) / 500
    )
    assert found.error > 0.1  # it is twice as sure as it should be


def test_a_critic_that_finds_all_even_has_no_calibration() -> None:
    found = card(judged("win", 0.5), judged("loss", 0.5))
    assert (found.calibration.error, found.calibration.bins, found.calibration.even) == (None, [], 2)
    assert found.length.critic_longer is None
    assert found.ties.value == 1
    assert [band.n for band in found.by_critics_margin] == [2]


def test_agreement_is_told_by_margins() -> None:
    given = [judged("win", 0.5 + place / 100, margin=place % 3) for place in range(1, 41)]
    found = critic_card(given, SETTINGS, 1)
    assert [band.n for band in found.by_critics_margin] == [10, 10, 10, 10]
    assert [(band.low, band.high) for band in found.by_peoples_margin] == [(0, 0), (1, 1), (2, 2)]
    assert sum(band.n for band in found.by_peoples_margin) == 40


def test_people_have_a_ceiling_where_several_labelled() -> None:
    found = card(
        judged(("win", "win", "loss"), 0.9),
        judged(("win", "win", "win"), 0.9),
        judged(("loss", "loss"), 0.9),
        judged(("win",), 0.1),  # nobody else labelled it
    )
    assert found.ceiling is not None
    # Of the first pair the third person alone has others who decide; of the second and third everybody.
    assert found.ceiling.n == 1 + 3 + 2
    assert found.ceiling.person.value == pytest.approx((0 + 3 + 2) / 6)
    assert found.ceiling.critic.value == pytest.approx((1 + 3 + 0) / 6)
    assert found.people is not None
    assert found.each_person is not None
    assert found.labels == {"person 0": 4, "person 1": 3, "person 2": 2}
    assert [(band.low, band.n) for band in found.by_peoples_margin] == [(pytest.approx(1 / 3), 1), (1, 2)]


def test_one_person_has_none() -> None:
    found = card(judged("win", 0.9))
    assert (found.ceiling, found.people, found.each_person, found.by_peoples_margin) == (None, None, None, [])


def test_all_ties_of_people_leave_nothing_to_be_right_about() -> None:
    found = card(judged("tie", 0.9), judged("tie", 0.1))
    assert (found.accuracy, found.decided, found.calibration.error) == (None, 0, None)
    assert found.agreement.kappa is None or found.agreement.kappa.value == 0
    assert json.loads(json.dumps(found.as_json()))["accuracy"] is None
