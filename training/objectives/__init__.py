"""The losses a student can be trained with. A new one that ships is a file here and a line in `OBJECTIVES`.

One of the user's own is a subclass of `Objective`, named as `module:attribute` or given in Python.
"""

import inspect
from collections.abc import Mapping
from typing import Any, get_args

from ...core.errors import ConfigError
from ...core.plugs import Plug, load_plug
from .base import MISMATCHED, TARGET, Loss, Needs, Objective, ObjectiveSettings, RowLogprobs, as_loss
from .brio import BringingOrder
from .composed import COMPOSED, Phase
from .dpo import DirectPreferenceOptimisation
from .kto import KahnemanTverskyOptimisation
from .opd import OnPolicyDistillation
from .sd import SelfDistillation
from .sft import SupervisedFineTuning
from .simpo import SimplePreferenceOptimisation

OBJECTIVES: dict[str, Objective] = {
    "sft": SupervisedFineTuning(),
    "sd": SelfDistillation(),
    "brio": BringingOrder(),
    "dpo": DirectPreferenceOptimisation(),
    "simpo": SimplePreferenceOptimisation(),
    "kto": KahnemanTverskyOptimisation(),
    "opd": OnPolicyDistillation(),
}
"""Every simple objective by its name in the configuration."""


def objective_names() -> tuple[str, ...]:
    """Every name that the configuration may use, simple objectives before composed ones."""
    return (*OBJECTIVES, *COMPOSED)


def phases(name: str) -> tuple[Phase, ...]:
    """What a training with that objective does, one phase after another; one of the user's own is a single phase.

    Raises:
        ConfigError: there is no such objective.
    """
    if name in COMPOSED:
        return COMPOSED[name]
    if name in OBJECTIVES or ":" in name:
        return (Phase(name),)
    raise ConfigError(
        f"training.objective {name!r} is none of {', '.join(objective_names())}; take one of them, or name your own as "
        "module:attribute"
    )


def load_objective(
    name: str, kwargs: Mapping[str, Any] | None = None, *, where: str = "training.objective"
) -> Objective:
    """The simple objective of that name, or the user's own behind `module:attribute`, made with `kwargs`.

    Raises:
        ConfigError: there is none, it cannot be imported or made, or it is no objective.
    """
    if name in OBJECTIVES:
        if kwargs:
            raise ConfigError(f"{where} {name!r} takes no kwargs; set its numbers beside it, such as training.beta")
        return OBJECTIVES[name]
    if ":" not in name:
        raise ConfigError(f"{where} {name!r} is none of {', '.join(OBJECTIVES)}, nor module:attribute")
    return as_objective(load_plug(Plug(use=name, kwargs=dict(kwargs or {})), where=where), where=where)


def as_objective(found: Any, *, where: str) -> Objective:
    """What was given as an objective, made if it is a class.

    Raises:
        ConfigError: it is no objective, or does not say what it needs.
    """
    if inspect.isclass(found) and issubclass(found, Objective):
        try:
            found = found()
        except Exception as error:  # other people's code may raise anything
            raise ConfigError(
                f"{where}: {found.__qualname__} cannot be made: {type(error).__name__}: {error}; give an object of it"
            ) from error
    if not isinstance(found, Objective):
        raise ConfigError(f"{where}: {found!r} is no objective; make it a subclass of openmic.Objective")
    needs = getattr(found, "needs", None)
    if needs not in get_args(Needs):
        raise ConfigError(
            f"{where}: {type(found).__qualname__}.needs is {needs!r}; set it to one of {', '.join(get_args(Needs))}"
        )
    return found


__all__ = [
    "COMPOSED",
    "MISMATCHED",
    "OBJECTIVES",
    "TARGET",
    "Loss",
    "Needs",
    "Objective",
    "ObjectiveSettings",
    "Phase",
    "RowLogprobs",
    "as_loss",
    "as_objective",
    "load_objective",
    "objective_names",
    "phases",
]
