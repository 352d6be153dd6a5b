"""The losses a student can be trained with. A new one is a file here and a line in `OBJECTIVES`."""

from ...core.errors import ConfigError
from .base import MISMATCHED, TARGET, Loss, Needs, Objective, ObjectiveSettings, RowLogprobs
from .brio import BringingOrder
from .composed import COMPOSED, Phase
from .dpo import DirectPreferenceOptimisation
from .kto import KahnemanTverskyOptimisation
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
}
"""Every simple objective by its name in the configuration."""


def objective_names() -> tuple[str, ...]:
    """Every name that the configuration may use, simple objectives before composed ones."""
    return (*OBJECTIVES, *COMPOSED)


def phases(name: str) -> tuple[Phase, ...]:
    """What a training with that objective does, one phase after another.

    Raises:
        ConfigError: there is no such objective.
    """
    if name in COMPOSED:
        return COMPOSED[name]
    if name in OBJECTIVES:
        return (Phase(name),)
    raise ConfigError(f"training.objective {name!r} is none of {', '.join(objective_names())}; take one of them")


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
    "objective_names",
    "phases",
]
