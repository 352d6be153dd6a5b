import re

import pytest
import torch

from openmic.core.errors import ConfigError, TrainingError
from openmic.training.objectives import OBJECTIVES, Loss, Phase, as_loss, load_objective, phases

from . import own_objectives

HERE = own_objectives.__name__


def test_a_class_is_made_with_its_kwargs_and_an_instance_is_taken_as_it_is() -> None:
    made = load_objective(f"{HERE}:Margin", {"margin": 2.0})
    assert isinstance(made, own_objectives.Margin)
    assert made.margin == 2.0
    assert load_objective(f"{HERE}:wide") is own_objectives.wide
    assert phases(f"{HERE}:Margin") == (Phase(f"{HERE}:Margin"),)
    assert load_objective("dpo") is OBJECTIVES["dpo"]


@pytest.mark.parametrize(
    ("name", "kwargs", "why"),
    [
        ("ppo", {}, "'ppo' is none of sft, sd, brio, dpo, simpo, kto, opd, nor module:attribute"),
        ("dpo", {"beta": 1}, "'dpo' takes no kwargs; set its numbers beside it, such as training.beta"),
        ("no_such_module:Loss", {}, "there is no module 'no_such_module'"),
        (f"{HERE}:Margin", {"gamma": 1}, "does not take these kwargs: got an unexpected keyword argument 'gamma'"),
        (f"{HERE}:not_one", {}, "is no objective; make it a subclass of openmic.Objective"),
        (f"{HERE}:Undecided", {}, "Undecided.needs is 'everything'; set it to one of demonstrations, chosen, pairs"),
    ],
)
def test_what_is_no_objective_is_refused_with_the_key_that_names_it(
    name: str, kwargs: dict[str, int], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"^training.objective.*{re.escape(why)}"):
        load_objective(name, kwargs)


def test_a_loss_is_a_scalar_alone_or_with_numbers_worth_looking_at() -> None:
    value = torch.tensor(2.0)
    assert as_loss(value, "mine") == Loss(value, {})
    assert as_loss((value, {"lead": torch.tensor(0.5)}), "mine") == Loss(value, {"lead": 0.5})
    for wrong, shape in ((torch.zeros(3), r"a tensor of shape \[3\]"), (1.5, "1.5"), (None, "None")):
        with pytest.raises(TrainingError, match=f"^objective mine returned {shape}; it is to return a scalar tensor"):
            as_loss(wrong, "mine")
