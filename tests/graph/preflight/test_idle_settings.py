"""What was set and changes nothing is told."""

from typing import Any

import pytest

from openmic.core.config_file import load_config
from openmic.core.files.examples import example_file, example_names
from openmic.graph.preflight.idle_settings import idle_settings

from ..conftest import config_of

SCORER = {"use": "length"}


@pytest.mark.parametrize(
    ("sections", "key", "why"),
    [
        (
            {"training": {"objective": "sft", "margin_weights": True}},
            "training.margin_weights",
            "objective=sft does not",
        ),
        ({"training": {"objective": "kto", "label_smoothing": 0.1}}, "training.label_smoothing", "objective=kto does"),
        ({"imitation": {"beta": 0.3}}, "imitation.beta", "imitation learns the teacher's texts"),
        (
            {"preferences": {"revisions": False, "revisions_answer": "both"}},
            "preferences.revisions_answer",
            "revisions=",
        ),
        (
            {"dialogue": {"max_revisions": 0}, "preferences": {"revisions_answer": "both"}},
            "preferences.revisions_answer",
            "dialogue.max_revisions=0",
        ),
        ({"dialogue": {"critique": "hint"}, "cast": {"critic": SCORER}}, "dialogue.critique", "the critic is no model"),
        ({"verdict": {"samples": 9}, "cast": {"critic": SCORER}}, "verdict.samples", "critic and judge are no models"),
        ({"cast": {"critic": {"margin": 0.2}}}, "cast.critic.margin", "it is for scorers"),
        ({"cast": {"teacher": {"output_field": "x"}}}, "cast.teacher.output_field", "demonstrations is not set"),
        (
            {"training": {"objective": "sft"}, "preferences": {"teacher_pairs": True}},
            "preferences.teacher_pairs",
            "no pre",
        ),
        ({"training": {"overlap": "never"}}, "training.overlap", "train_every is not set"),
    ],
)
def test_a_setting_without_effect(sections: dict[str, Any], key: str, why: str) -> None:
    told = idle_settings(config_of(**sections))
    [line] = [line for line in told if line.startswith(f"{key} has no effect: ")]
    assert why in line


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"margin_weights": True, "beta": 0.3}},
        {"training": {"objective": "mine:Own", "beta": 0.3, "margin_weights": True}},
        {"dialogue": {"critique": "hint"}},
        {"cast": {"critic": {**SCORER, "margin": 0.2}}},
        {"cast": {"critic": SCORER, "judge": {}}, "verdict": {"samples": 9}},
        {"preferences": {"revisions_answer": "both"}},
    ],
)
def test_one_with_an_effect_is_not_told(sections: dict[str, Any]) -> None:
    assert idle_settings(config_of(**sections)) == []


@pytest.mark.parametrize("name", example_names())
def test_the_examples_set_nothing_in_vain(name: str) -> None:
    assert idle_settings(load_config(example_file(name), [], {})) == []
