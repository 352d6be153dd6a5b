"""The losses a student can be trained with. A new one is a file here and a line in `OBJECTIVES`."""

from .base import Objective, ObjectiveSettings, RowLogprobs
from .dpo import dpo
from .sft import sft

OBJECTIVES: dict[str, Objective] = {"sft": sft, "dpo": dpo}
"""Every objective by the name that the configuration uses."""

__all__ = ["OBJECTIVES", "Objective", "ObjectiveSettings", "RowLogprobs"]
