"""What is said first of a run, for every way a run can have ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.records import JudgedOutput, Outcome
from openmic.evaluation.headline import headline, shown_versions
from openmic.evaluation.summary import summarize

SETTINGS = EvaluationSettings(bootstrap_samples=200)
OUTCOMES: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}


@dataclass(frozen=True)
class Made:
    version: int
    stage: str
    status: str = "promoted"


BASE, IMITATION, ROUND = Made(0, "base"), Made(1, "imitation"), Made(2, "round")


def judged(letters: str, version: int) -> list[JudgedOutput]:
    return [
        JudgedOutput(f"i{n:03}", f"in {n}", f"v{version} {n}", f"ref {n}", OUTCOMES[letter], True, dialogue_id=f"d{n}")
        for n, letter in enumerate(letters)
    ]


def said(made: list[Made], outcomes: Mapping[int, str], *, simulated: bool = False, samples: int = 3) -> dict[str, Any]:
    outputs = {version: judged(letters, version) for version, letters in outcomes.items()}
    summaries = {version: summarize(given, SETTINGS, 1).as_json() for version, given in outputs.items()}
    return headline(made, summaries, outputs.__getitem__, SETTINGS, 1, simulated=simulated, samples=samples)


def test_a_gain_is_said_with_its_interval_its_ends_and_on_how_many_inputs() -> None:
    found = said([BASE, IMITATION, ROUND], {0: "l" * 40, 1: "w" * 10 + "l" * 30, 2: "w" * 30 + "l" * 10})
    assert found["sentence"].startswith("feedback beats imitation: +50.0% in win-tie rate (95% interval +")
    assert found["sentence"].endswith("from 25.0% (v1) to 75.0% (v2) on 40 test inputs")
    assert found["gain"]["value"] == pytest.approx(0.5)
    assert (found["gain"]["from"], found["gain"]["to"], found["gain"]["n"]) == (1, 2, 40)
    assert [figure.split()[0] for figure in found["figures"]] == ["length", "distinct-2"]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("w" * 40, "l" * 40, "feedback is worse"),
        ("wl" * 20, "wl" * 20, "no clear difference"),
        ("t" * 40, "t" * 40, "nothing was decided, every comparison was a tie"),
    ],
)
def test_a_loss_no_difference_and_nothing_but_ties_are_said_as_what_they_are(
    before: str, after: str, verdict: str
) -> None:
    assert said([BASE, IMITATION, ROUND], {1: before, 2: after})["sentence"].startswith(f"{verdict}: ")


def test_few_inputs_and_the_simulated_cast_are_said_in_the_sentence_itself() -> None:
    sentence = said([BASE, IMITATION, ROUND], {1: "l", 2: "w"}, simulated=True)["sentence"]
    assert sentence.endswith("on 1 test inputs; under 30 inputs, so read it with care (figures of the simulated cast)")


def test_without_a_round_the_last_judged_version_is_told_and_what_is_not_judged_yet() -> None:
    assert said([], {})["sentence"] == "no version was judged on the test inputs yet"
    assert said([BASE], {})["samples"] == []
    imitation = said([BASE, IMITATION], {0: "l" * 40, 1: "wl" * 20})
    assert imitation["gain"] is None
    assert imitation["sentence"].startswith("v1 against the teacher on 40 test inputs: wins or ties in 50.0% (95%")
    under_way = said([BASE, IMITATION, ROUND], {0: "t" * 40, 1: "t" * 40})
    assert under_way["sentence"].endswith(": every comparison was a tie; v2 is not judged yet")


def test_samples_are_the_inputs_of_all_versions_whose_ids_come_first() -> None:
    found = said([BASE, IMITATION, ROUND], {0: "lwtl", 1: "wwww", 2: "ll"}, samples=3)
    assert [sample["input"] for sample in found["samples"]] == ["in 0", "in 1"]
    assert found["samples"][1] == {
        "input": "in 1",
        "teacher": "ref 1",
        "outputs": [
            {"version": 0, "text": "v0 1", "outcome": "win", "dialogue": "d1"},
            {"version": 1, "text": "v1 1", "outcome": "win", "dialogue": "d1"},
            {"version": 2, "text": "v2 1", "outcome": "loss", "dialogue": "d1"},
        ],
    }


def test_of_many_versions_the_base_imitation_and_the_last_that_was_promoted_are_shown() -> None:
    made = [BASE, IMITATION, ROUND, Made(3, "round"), Made(4, "round", "rolled_back")]
    assert shown_versions(made, dict.fromkeys(range(5))) == [0, 1, 3]
    assert shown_versions([*made[:2], made[4]], dict.fromkeys(range(5))) == [0, 1, 4]
    assert shown_versions([Made(0, "base"), Made(1, "round")], {1: None}) == [1]
