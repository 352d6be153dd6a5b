"""What a table says of arms that are done, failed, and many."""

from typing import Any

import pytest

from openmic.cli.experiments.document import html, markdown
from openmic.cli.experiments.experiment_document import NOTHING, experiment_document, table_document


def measure(value: float = 0.5) -> dict[str, Any]:
    return {"value": value, "ci": [value - 0.1, value + 0.1]}


def arm(name: str, **values: Any) -> dict[str, Any]:
    judge = {name: measure() for name in ("win_tie_rate", "length_controlled", "critic", "critic_minus_judge")}
    texts = {
        name: measure() for name in ("length_ratio", "faithfulness", "copies", "novelty", "known", "self_bleu")
    } | {"distinct_2": {"value": 0.7, "by_seed": {}}, "unique_endings": {"value": 0.9, "by_seed": {}}, "scores": {}}
    return {
        "arm": name, "note": "", "of": None, "train_on": None, "set": {}, "seeds_done": [1], "runs": {1: "R1"},
        "versions": {1: 2}, "judge": judge | {"win": 5, "tie": 1, "loss": 4}, "texts": texts, "trained": None,
        "dev": [], "cost": {"replies": 3, "tokens": 1000, "written": 0}, "minutes": 1.5, "gain": None,
    } | values  # fmt: skip


def results(*arms: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "experiment": "mine", "about": "", "cast": "models", "models": {"judge": "gpt"}, "notes": [], "task": "humor",
        "student": "tiny", "seeds": [1, 2], "baseline": "FT", "confidence": 0.95, "test_inputs": 10,
        "arms": list(arms), "failed": [], "commits": [], "packages": {}, "minutes": 3.0, "spec": {"cells": []},
    } | values  # fmt: skip


def test_an_arm_that_failed_is_a_row_and_said_why() -> None:
    nothing = arm("SD", seeds_done=[], judge=None, texts=None, cost=None)
    failed = [{"arm": "SD", "seed": 1, "run": None, "error": "it cannot be learned from"}]
    said = markdown(table_document(results(arm("FT"), nothing, failed=failed)))
    assert f"| SD | 1 | it cannot be learned from | {NOTHING} |" in said
    assert f"| SD | 0 of 2 | {NOTHING} | {NOTHING} |" in said
    assert "| FT | 1 of 2 | 5 | 1 | 4 | 50.0 (40.0 to 60.0) |" in said


def test_gains_are_marked_where_they_are_clear_and_controls_are_named() -> None:
    gain = {"value": 0.1, "ci": [0.02, 0.18], "p": 0.01, "p_corrected": 0.02, "clear": True}
    trained = {"objectives": ["dpo"], "labels": ["shuffled"], "examples": 80.0, "steps": 24.0, "minutes": 1.0}
    said = markdown(table_document(results(arm("FT"), arm("shuffled", gain=gain, trained=trained))))
    assert "| +10.0 (+2.0 to +18.0)\\* | 0.02 |" in said
    assert "| shuffled | dpo (shuffled labels: a control) | 80 | 24 |" in said
    assert f"| baseline | {NOTHING} |" in said


@pytest.mark.parametrize(("number", "label"), [(3, ">arm 2<"), (20, ">11<")])
def test_a_drawing_of_many_arms_has_numbers_beneath_it(number: int, label: str) -> None:
    page = html(experiment_document(results(*(arm(f"arm {place}") for place in range(number)))))
    assert label in page
    assert page.count("<svg") == 1


def test_an_experiment_of_which_nothing_is_done_yet_can_be_reported_on() -> None:
    nothing = arm("FT", seeds_done=[], judge=None, texts=None, cost=None, runs={}, versions={})
    said = markdown(experiment_document(results(nothing, models={}, student=None, task=None)))
    assert "nobody was asked yet" in said


def test_a_report_names_no_folder_of_whoever_made_it() -> None:
    spec = {"cells": [], "file": "/home/somebody/secret/mine.yaml", "seeds": [1]}
    said = markdown(experiment_document(results(arm("FT"), spec=spec)))
    assert "file: mine.yaml" in said
    assert "secret" not in said


def test_samples_have_the_teachers_text_first_and_every_arms_below() -> None:
    said = [{"arm": name, "text": f"of {name}", "outcome": "tie", "dialogue": "d"} for name in ("FT", "SD")]
    shown = markdown(experiment_document(results(arm("FT")), [{"input": "in", "teacher": "hers", "outputs": said}]))
    assert "## Samples\n\nThe outputs of the first seed. Of the test inputs that all these arms were judged on" in shown
    assert f"| teacher | hers | {NOTHING} |\n| FT | of FT | tie |\n| SD | of SD | tie |" in shown
    assert "## Samples" not in markdown(experiment_document(results(arm("FT"))))
