import json
from typing import Any

import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.records import Outcome, RatedPair, Rating
from openmic.evaluation.bootstrap import bootstrap_mean
from openmic.evaluation.human import RatingResults, rating_results
from openmic.evaluation.intervals import FEW, unvaried

SETTINGS = EvaluationSettings(bootstrap_samples=300)
LETTERS: dict[str, Outcome | None] = {"w": "win", "t": "tie", "l": "loss", "-": None}


def pair(judge: str, people: str = "", *, left: str | None = None, **values: Any) -> RatedPair:
    """A pair of version 2 with a letter of the judge and one of each person (`-` skips; a space did not rate).

    `left` says for each person whether the first text stood on the left (f) or the second (s).
    """
    outcome = LETTERS[judge]
    assert outcome is not None
    sides = left or "f" * len(people)
    ratings = tuple(
        Rating(f"rater {number}", LETTERS[letter], sides[number] == "f")
        for number, letter in enumerate(people)
        if letter != " "
    )
    odds = {"w": 0.9, "t": 0.5, "l": 0.1}[judge]
    defaults: dict[str, Any] = {
        "version": 2, "outcome": outcome, "p_forward": odds, "p_reverse": odds, "first_length": 5, "second_length": 5
    }  # fmt: skip
    return RatedPair(**defaults | values, ratings=ratings)


def results(*pairs: RatedPair) -> RatingResults:
    return rating_results(pairs, SETTINGS, 3)


def test_the_rate_of_a_version_takes_the_mean_of_several_people_on_an_input() -> None:
    [version] = results(pair("w", "wl"), pair("w", "ll"), pair("l", "t"), pair("l", "-")).versions
    assert (version.version, version.pairs, version.ratings) == (2, 3, 5)
    assert (version.win, version.tie, version.loss) == (1, 1, 3)
    assert version.people == bootstrap_mean([0.5, 0.0, 1.0], confidence=0.95, samples=300, seed=3)
    assert version.judge.value == pytest.approx(2 / 3)
    assert version.difference.value == pytest.approx(2 / 3 - 0.5)


def test_a_judge_that_flatters_the_student_is_above_people() -> None:
    [version] = results(*[pair("w", "l")] * 20, *[pair("w", "w")] * 20).versions
    assert version.difference.value == pytest.approx(0.5)
    assert 0 < version.difference.low < 0.5 < version.difference.high


def test_where_all_are_ties_nothing_is_decided() -> None:
    [people] = results(pair("w", "t"), pair("t", "tt")).versions
    assert (people.people_decided, people.judge_decided) == (False, True)
    [judge] = results(pair("t", "w"), pair("t", "t")).versions
    assert (judge.people_decided, judge.judge_decided) == (True, False)


def test_versions_are_kept_apart_and_pairs_of_dialogues_have_none() -> None:
    found = results(pair("w", "w", version=3), pair("w", "l", version=1), pair("t", "w", version=None))
    assert [(row.version, row.people.value) for row in found.versions] == [(1, 0.0), (3, 1.0)]
    assert results(pair("w", "w", version=None)).versions == []


def test_what_was_passed_over_counts_as_skipped_and_nowhere_else() -> None:
    found = results(pair("w", "-"), pair("w", "w-"), pair("l"))
    assert (found.pairs, found.ratings, found.skipped, found.raters) == (1, 1, 2, {"rater 0": 1})
    assert found.people is None


def test_the_critic_is_compared_with_each_person_and_people_with_each_other() -> None:
    found = results(pair("w", "wwl"), pair("l", "lw"), pair("t", "  t"))
    assert found.critic is not None
    assert (found.critic.n, found.critic.pairs, found.critic.twos) == (6, 3, 3)
    assert found.critic.share.value == pytest.approx(4 / 6)
    assert found.people is not None
    assert (found.people.n, found.people.pairs, found.people.twos) == (4, 2, 3)
    assert found.people.share.value == pytest.approx(1 / 4)


def test_people_who_always_press_left_show_it() -> None:
    found = results(pair("w", "w", left="f"), pair("w", "l", left="s"), pair("w", "t", left="s")).position
    assert found.people_left.n == 2  # a tie is no choice
    assert found.people_left.share == unvaried(1.0, 2, confidence=0.95, within=(0, 1))
    right = results(pair("w", "w", left="s"), pair("w", "l", left="f")).position.people_left
    assert right.share == unvaried(0.0, 2, confidence=0.95, within=(0, 1))


def test_a_critic_that_prefers_the_first_place_shows_it_on_the_same_pairs() -> None:
    by_place: dict[str, Any] = {"p_forward": 0.8, "p_reverse": 0.2}
    by_text: dict[str, Any] = {"p_forward": 0.8, "p_reverse": 0.7}
    found = results(pair("t", "w", **by_place), pair("w", "w", **by_text), pair("t", "w", p_forward=0.5, p_reverse=0.4))
    assert found.position.critic_turned.n == 3
    assert found.position.critic_turned.share is not None
    assert found.position.critic_turned.share.value == pytest.approx(1 / 3)
    # First place twice of the first pair, once of two of the second, and of the third the one order that chose.
    assert found.position.critic_first.n == 5
    assert found.position.critic_first.share is not None
    assert found.position.critic_first.share.value == pytest.approx(4 / 5)


def test_length_bias_of_people_and_of_the_critic() -> None:
    longer: dict[str, Any] = {"first_length": 9, "second_length": 4}
    shorter: dict[str, Any] = {"first_length": 4, "second_length": 9}
    found = results(
        pair("w", "l", **longer),  # the critic takes the longer text, the person the shorter
        pair("l", "lt", **shorter),  # both the longer
        pair("t", "w", **shorter),
        pair("w", "w"),  # as long as each other
    ).length
    assert [found.people_longer.n, found.critic_longer.n, found.critic_only.n] == [3, 2, 4]
    values = [share.share and share.share.value for share in (found.people_longer, found.critic_longer)]
    assert values == [pytest.approx(1 / 3), 1.0]
    assert found.critic_only.share is not None
    assert found.critic_only.share.value == pytest.approx(1 / 4)


def test_few_pairs_are_called_few() -> None:
    assert results(*[pair("w", "w")] * (FEW - 1)).few
    assert not results(*[pair("w", "w")] * FEW).few


def test_nothing_rated_is_nothing_said() -> None:
    found = results(pair("w"))
    assert (found.pairs, found.versions, found.critic, found.people) == (0, [], None, None)
    assert found.position.people_left.share is None
    json.dumps(found.as_json())


def test_results_can_be_written_as_json() -> None:
    written = json.loads(json.dumps(results(pair("w", "wl"), pair("l", "wl")).as_json()))
    people = written["versions"][0]["people"]
    assert people["value"] == 0.5
    assert people["ci"][0] < 0.5 < people["ci"][1]
    assert written["critic"]["share"]["value"] == 0.5
    assert written["position"]["people_left"]["n"] == 4
