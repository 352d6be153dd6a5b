"""What is wrong with an objective is found on made-up rows."""

import re
from typing import Any

import pytest
import torch

from openmic.core.errors import ConfigError
from openmic.core.training_settings import TrainingSettings
from openmic.training.objectives import OBJECTIVES, Objective, ObjectiveSettings, RowLogprobs
from openmic.training.objectives.trial import try_objective

from .own_objectives import Margin

SETTINGS = TrainingSettings()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_those_that_ship_pass(name: str) -> None:
    try_objective(OBJECTIVES[name], SETTINGS, where=name)


def test_one_of_ones_own_passes() -> None:
    try_objective(Margin(0.5), SETTINGS, where="mine")


def giving(value: Any) -> Any:
    """An objective that gives what a function makes of its rows."""

    class Giving(Objective):
        needs = "pairs"

        def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Any:
            return value(rows)

    return Giving()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda rows: rows.chosen.mean - rows.rejected.mean, "returned a tensor of shape [4]"),
        (lambda rows: {"oh": rows}["boo"], "failed: KeyError: 'boo' ("),
        (lambda rows: 0.0, "returned 0.0; it is to return a scalar tensor"),
        (lambda rows: None, "returned None"),
        (lambda rows: torch.tensor(1.0), "gave a loss without a gradient"),
        (lambda rows: rows.token.detach().sum(), "gave a loss without a gradient"),
        (lambda rows: rows.token.sum() * float("nan"), "gave a loss of nan"),
        (lambda rows: rows.token.sum().sqrt(), "gave a loss of nan"),
        (lambda rows: (rows.token * 0).abs().sqrt().sum(), "gave a gradient that is not finite"),
        (lambda rows: (rows.token.sum(), {"x": "abc"}), "returned 'abc' as 'x', where one number was expected"),
        (lambda rows: (rows.token.sum(), {"x": torch.ones(3)}), "as 'x', where one number was expected"),
        (lambda rows: rows.log_ratio.sum(), "log_ratio needs a reference; set needs_reference = True"),
        (lambda rows: rows.no_such_thing, "AttributeError"),
    ],
)
def test_what_could_not_train_is_refused(value: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=f"^training.objective mine, tried on made-up rows.*{re.escape(why)}"):
        try_objective(giving(value), SETTINGS, where="training.objective mine")


def test_an_asynchronous_one_is_refused() -> None:
    class Later(Objective):
        needs = "chosen"

        async def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Any:
            return rows.token.sum()

    with pytest.raises(ConfigError, match="is asynchronous; make __call__ a plain function"):
        try_objective(Later(), SETTINGS, where="mine")
