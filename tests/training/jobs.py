"""Jobs for a trainer, small enough for a second."""

import json
from pathlib import Path
from typing import Any

from openmic.core.records import NO_ADAPTER, AdapterRef, TrainingMetrics
from openmic.core.student_settings import StudentWeights
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.adapters import verify_adapter
from openmic.training.loop.job import TrainingJob, TrainingPhase

from .factories import demonstration, preference

SAID = ("Late? Posthumous.", "It was a card from me to me.", "Umbrellas.", "Soup of the day.", "No.")
PHASES = {
    "sft": (TrainingPhase("sft", tuple(demonstration(i, text) for i, text in enumerate(SAID))),),
    **{
        name: (TrainingPhase(name, tuple(preference(i, text, SAID[i - 2]) for i, text in enumerate(SAID))),)
        for name in ("dpo", "kto")
    },
    "brio-dpo": (
        TrainingPhase("brio", tuple(preference(i, f"Sharp {i}.", f"Blunt {i}.", target=SAID[i]) for i in range(5))),
        TrainingPhase("dpo", tuple(preference(i, text, SAID[i - 2]) for i, text in enumerate(SAID))),
    ),
}


def job_of(student: Path, root: Path, objective: str = "sft", **changes: Any) -> TrainingJob:
    """Version 1 of a run, in `root`; changes that are no field of a job are settings."""
    fields = {name: changes.pop(name) for name in list(changes) if name in TrainingJob.__dataclass_fields__}
    numbers = {"epochs": 4, "batch_size": 2, "learning_rate": 1e-3, "save_steps": 2} | changes
    usual: dict[str, Any] = {
        "student": StudentWeights(model=str(student)),
        "device": "cpu",
        "phases": PHASES[objective],
        "settings": FineTuneSettings(**numbers),
        "lora": LoRASettings(r=2, dropout=0.1),
        "seed": 1,
        "parent": NO_ADAPTER,
        "adapters": str(root),
        "version": 1,
    }
    return TrainingJob(**(usual | fields))


def weights_of(ref: AdapterRef) -> bytes:
    """The adapter's weights as they were committed."""
    return (verify_adapter(ref) / "adapter_model.safetensors").read_bytes()


def facts_of(metrics: TrainingMetrics) -> str:
    """Everything but how long it took."""
    return json.dumps([{**metrics.as_json(), "seconds": 0}, metrics.curve])
