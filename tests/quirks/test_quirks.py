"""Campaigns on endpoints as they are. `python -m tests.quirks` holds one on every habit; here are those that differ."""

from pathlib import Path
from typing import Any

import pytest

from .campaign import Mixed, hold
from .habits import HABITS, after


@pytest.fixture
def student(tiny_causal: Path) -> Path:
    return tiny_causal


def test_of_all_habits_at_once_nothing_unfit_is_trained_on_or_judged(
    tmp_path: Path, student: Path, ray_running: None
) -> None:
    mixed = Mixed(HABITS, 0.3, seed=7)
    sizes: dict[str, Any] = {
        "inputs": {"limit": 40},
        "dialogue": {"inputs": 10, "candidates": 2},
        "evaluation": {"test_inputs": 6},
    }
    found = hold("mixed", mixed, tmp_path, student, **sizes)
    assert found.code in {0, 3}, found.stderr
    assert len(mixed.drawn) > 25
    assert found.dirty == []
    assert found.misread == 0
    assert found.bought_twice <= sum(mixed.drawn[name] for name in ("think-cut", "old-cap"))


@pytest.mark.parametrize("name", ["no-money", "no-quota"])
def test_an_account_that_ran_dry_stops_the_run_and_no_item_fails(
    tmp_path: Path, student: Path, ray_running: None, name: str
) -> None:
    found = hold(name, after(20, HABITS[name].say), tmp_path, student)
    assert found.code == 1, found.stderr
    assert found.dialogues_failed == 0
    assert "to go on: openmic resume" in found.stderr


def test_every_habit_is_one_that_answers() -> None:
    """Each says something to every kind of request, so that a row of the table is about the habit it names."""
    asked = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "<sentence>abc</sentence>"}]}
    for name, habit in HABITS.items():
        answer = habit.say(asked | {"model": "m"}, 99)
        assert answer.close or answer.status, name
