"""What is wrong with other people's objects is found before anything is loaded or paid for."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.core.records import Split
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.objects import check_demonstrations, check_objective
from openmic.training.objectives import ObjectiveSettings, RowLogprobs

from ...training.objectives.own_objectives import Margin, Raising
from ..conftest import config_of, example_of

OWN = Margin.__module__


class Locked(Margin):
    """Holds what cannot be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Shaped(Margin):
    """Forgets the mean."""

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Any:
        return rows.chosen.mean


def objective(name: str, **more: Any) -> RunConfig:
    return config_of(training={"objective": name, **more})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Locked(), "cannot be sent to the trainer's process (TypeError: cannot pickle '_thread.lock' object)"),
        (Shaped(), "tried on made-up rows: objective Shaped returned a tensor of shape [4]"),
        (Raising, "tried on made-up rows, failed: KeyError: 'boo'"),
    ],
)
def test_an_objective_is_tried(given: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=f"^training.objective:? mine:Own,? {re.escape(why)}"):
        check_objective(objective("mine:Own"), Plugs({"training.objective": given}))


def test_an_objective_that_is_named_is_tried_with_its_kwargs() -> None:
    check_objective(objective(f"{OWN}:Margin", objective_kwargs={"margin": 2.0}), Plugs())
    with pytest.raises(ConfigError, match=f"training.objective {OWN}:Raising, tried on made-up rows, failed"):
        check_objective(objective(f"{OWN}:Raising"), Plugs())
    for name in ("dpo", "brio-dpo", "kto"):
        check_objective(objective(name), Plugs())


def test_kwargs_of_an_objective_that_ships_are_refused() -> None:
    with pytest.raises(ValueError, match="objective_kwargs are for an objective of your own, not for dpo"):
        objective("dpo", objective_kwargs={"beta": 1})


def demonstrated(path: Path, *inputs: str, **cast: Any) -> RunConfig:
    path.write_text("".join(f"{json.dumps({'input': text, 'output': 'Ha.'})}\n" for text in inputs))
    return config_of(cast={"teacher": {"demonstrations": str(path)}, **cast})


def test_demonstrations_that_are_of_other_inputs_are_found(tmp_path: Path) -> None:
    examples = [
        *(example_of(f"Training {n}.") for n in range(3)),
        *(example_of(f"Dev {n}.", Split.DEV) for n in range(2)),
        *(example_of(f"Test {n}.", Split.TEST) for n in range(2)),
    ]
    every = [example.text for example in examples]
    path = tmp_path / "shown.jsonl"
    assert check_demonstrations(demonstrated(path, *every), examples) == []
    some = check_demonstrations(demonstrated(path, *every[1:]), examples)
    assert len(some) == 1
    assert "has no output for 1 of 3 train inputs, such as 'Training 0.'" in some[0]
    for texts, split in ((every[3:], "3 train"), (every[:5], "2 test"), ([*every[:3], *every[5:]], "2 dev")):
        with pytest.raises(ConfigError, match=f"has no output for any of the {split} inputs, such as"):
            check_demonstrations(demonstrated(path, *texts), examples)
    # Held-out references may be somebody else's.
    assert check_demonstrations(demonstrated(path, *every[:3], references={"model": "simulated"}), examples) == []
