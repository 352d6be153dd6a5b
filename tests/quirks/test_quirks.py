"""Campaigns on endpoints as they are. `python -m tests.quirks` holds one on every habit; here are those that differ."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.task import load_task

from .campaign import Mixed, hold
from .habits import HABITS, after, usual


def test_of_all_habits_at_once_nothing_unfit_is_trained_on_or_judged(
    tmp_path: Path, tiny_causal: Path, ray_running: None
) -> None:
    mixed = Mixed(HABITS, 0.3, seed=7)
    sizes: dict[str, Any] = {
        "inputs": {"limit": 40},
        "dialogue": {"inputs": 10, "candidates": 2},
        "evaluation": {"test_inputs": 6},
    }
    found = hold("mixed", mixed, tmp_path, tiny_causal, **sizes)
    assert found.code in {0, 3}, found.stderr
    assert len(mixed.drawn) > 25
    assert found.dirty == []
    assert found.misread == 0
    assert found.bought_twice <= sum(mixed.drawn[name] for name in ("think-cut", "old-cap"))


@pytest.mark.parametrize("name", ["no-money", "no-quota"])
def test_an_account_that_ran_dry_stops_the_run_and_no_item_fails(
    tmp_path: Path, tiny_causal: Path, ray_running: None, name: str
) -> None:
    found = hold(name, after(20, HABITS[name].say), tmp_path, tiny_causal)
    assert found.code == 1, found.stderr
    assert found.dialogues_failed == 0
    assert "to go on: openmic resume" in found.stderr


def test_every_habit_is_one() -> None:
    """Each does something else than usual to some kind of request, so that its row of the table is about it."""
    task, bodies = load_task("humor"), list[dict[str, Any]]()
    plain: dict[str, Any] = {"seed": 3, "temperature": 0.5, "top_p": 1.0, "max_completion_tokens": 16}
    more = plain | {"max_tokens": 16, "logprobs": True, "top_logprobs": 20, "response_format": {"type": "json_schema"}}
    prompts = [("teacher", "demonstrate"), ("critic", "compare"), ("critic", "reason"), ("critic", "critique")]
    for (role, purpose), source in product(prompts, ["The kettle broke.", "The kettle broke!?"]):
        values: dict[str, Any] = {"input": source, "first": "One.", "second": "Two.", "draft": "One.", "count": 3}
        messages = task.render(role, purpose, **values, overused=[])
        said = [{"role": message.role, "content": message.content} for message in messages]
        bodies += [options | {"messages": said} for options in (plain, more)]
    for name, habit in HABITS.items():
        differs = any(habit.say(body, 0) != usual(body, 0) for body in bodies)
        assert differs != (name == "usual" or habit.models is not None), name
