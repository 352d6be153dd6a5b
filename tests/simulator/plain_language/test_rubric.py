import pytest

from openmic.simulator.plain_language.profiles import RUBRICS
from openmic.simulator.plain_language.rubric import PARTS

CRITIC, JUDGE = RUBRICS["sim-critic"], RUBRICS["sim-judge"]
SOURCE = (
    "In the event that the tenant fails to remit the rent of $450 by the fifth day of the month, a surcharge of $45 "
    "shall become payable forthwith, notwithstanding that no reminder has been dispatched prior to that date."
)
GOOD = (
    "If you do not pay the rent of $450 by the fifth of the month, you must pay an extra fee of $45 at once. This is "
    "so although no reminder has been sent before that date."
)


def test_a_good_version_meets_both_standards() -> None:
    found = CRITIC.assess(SOURCE, GOOD)
    assert tuple(found.parts) == PARTS
    assert found.meets, found
    assert found.score > 0.85
    assert JUDGE.assess(SOURCE, GOOD).meets


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (SOURCE, "plain"),
        (SOURCE, "own"),
        (GOOD.replace("If you do not pay", "In the event that the tenant fails to remit").replace(
            "at once", "forthwith, notwithstanding the foregoing"), "plain"),
        (GOOD.replace("$450", "some money"), "facts"),
        (GOOD.replace("do not pay", "pay").replace("no reminder", "a reminder"), "facts"),
        (GOOD[:60], "facts"),
        (GOOD + " Rules like this are made so that everybody knows where they stand when the month ends. It may help "
         "to read the whole thing twice and to talk it over with a friend or neighbour.", "brief"),
        ("Don't worry, this is very easy to understand: " + GOOD, "direct"),
        (GOOD.replace(". This is so", " and besides that it will be so also for all who live here"), "short"),
    ],
)  # fmt: skip
def test_each_flaw_fails_its_part_and_costs_score(text: str, part: str) -> None:
    found = CRITIC.assess(SOURCE, text)
    assert found.parts[part] < CRITIC.thresholds[part], found
    assert not found.meets
    assert found.score < CRITIC.assess(SOURCE, GOOD).score - 0.05


@pytest.mark.parametrize(
    "text", ["", "  ", "!!!", "asdf qwer zxcv", "I'm sorry, but I can't help with that.", "No " * 40]
)
def test_gibberish_refusals_and_loops_score_near_nothing(text: str) -> None:
    assert CRITIC.assess(SOURCE, text).score < 0.1
    assert JUDGE.assess(SOURCE, text).score < 0.25


def test_plain_is_graded() -> None:
    texts = [SOURCE, SOURCE.replace("In the event that", "If"), SOURCE.replace("In the event that", "If").replace(
        "forthwith, notwithstanding that", "at once, although"), GOOD]  # fmt: skip
    grades = [CRITIC.assess(SOURCE, text).parts["plain"] for text in texts]
    assert grades == sorted(grades)
    assert len(set(grades)) == 4


def test_a_notice_that_is_plain_already_may_stand() -> None:
    assert CRITIC.assess("The bus left at nine.", "The bus left at nine.").meets


def test_endings_heard_before_do_not_matter() -> None:
    assert CRITIC.assess(SOURCE, GOOD, ["reminder has been sent"]) == CRITIC.assess(SOURCE, GOOD)


def test_the_judge_minds_other_words() -> None:
    minded = "You must ensure that the form is in."
    passed = "You must notify us about the form prior to lunch."
    assert JUDGE.officialese(minded.lower().split()) > CRITIC.officialese(minded.lower().split())
    assert JUDGE.officialese(passed.lower().split()) < CRITIC.officialese(passed.lower().split())
