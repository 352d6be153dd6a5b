"""What the trainer is asked to do and what it tells meanwhile: plain records, free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..core.config import FineTuneSettings, LoRASettings
from ..core.records import AdapterRef, TrainingExample


class TrainingPhase(NamedTuple):
    """One part of a training."""

    objective: str
    """A name in `training.objectives.OBJECTIVES`."""
    examples: tuple[TrainingExample, ...]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that a fine-tuning depends on."""

    student: str
    device: str
    phases: tuple[TrainingPhase, ...]
    """Carried out in order on the same adapter, each from where the one before ended. One without examples is passed
    over as long as another has some."""
    settings: FineTuneSettings
    """For every phase: each has its own epochs, schedule and hold-out."""
    lora: LoRASettings
    """The adapter's shape, where there is no parent to take it from."""
    seed: int
    parent: AdapterRef
    """The adapter to go on from, and the first phase's reference; version 0 begins with a new adapter."""
    adapters: str
    """Where the run's adapters are committed: a folder, or an address of remote storage."""
    version: int
    reference_file: Path | None = None
    """Where the reference's log-probabilities are kept (safetensors), to be found again when the training is done
    again; a later phase puts its number behind the name. None: nowhere."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a fine-tuning is."""

    phase: str = ""
    """`reference` while the starting model's log-probabilities are computed, else the objective's name."""
    step: int = 0
    """Steps done of this phase: optimizer steps, or batches of the reference."""
    steps: int = 0
    """Steps of this phase in all."""
    loss: float = float("nan")
    tokens: int = 0
    """Tokens trained on so far in this phase, padding excluded."""
