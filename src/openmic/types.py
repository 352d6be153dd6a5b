"""The records that seams take and give, for whoever writes an engine, an objective or a critic with types.

`openmic` itself has the functions and the seams; these are what passes between them.
"""

from .agents.critique import Critique
from .agents.verdicts.verdict import Verdict
from .core.records import (
    AdapterRef,
    Example,
    Generation,
    GenerationRequest,
    Input,
    Message,
    StudentSampling,
    TrainingExample,
)
from .training.engines.engine import EngineStats

__all__ = [
    "AdapterRef",
    "Critique",
    "EngineStats",
    "Example",
    "Generation",
    "GenerationRequest",
    "Input",
    "Message",
    "StudentSampling",
    "TrainingExample",
    "Verdict",
]
