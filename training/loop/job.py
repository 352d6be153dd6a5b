"""What the trainer is asked to do and what it tells meanwhile: plain records, free of torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from ...core.errors import TrainingError
from ...core.ids import content_hash
from ...core.records import AdapterRef, TrainingExample
from ...core.student_settings import StudentWeights
from ...core.training_settings import FineTuneSettings, LoRASettings
from ..student.fingerprint import ANY_FILES, KnownFiles

_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)


class TrainingPhase(NamedTuple):
    """One part of a training."""

    objective: str
    """A name in `training.objectives.OBJECTIVES`, or `module:attribute`; what it is called in reports."""
    examples: tuple[TrainingExample, ...]
    kwargs: Mapping[str, Any] | None = None
    """What an objective behind `module:attribute` is made with."""
    given: Any = None
    """The objective itself where it was given in Python; it need not be importable where the trainer is."""
    source_hash: str | None = None
    """SHA-256 of that one's source, in hex, where it can be read; the trainer may not be able to."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """All that a fine-tuning depends on."""

    student: StudentWeights
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
    """Where the run's adapters are committed, and checkpoints kept meanwhile: a folder, or an address of remote
    storage."""
    version: int
    run: str = ""
    """The id of the run it is for, which the adapter's manifest names."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the student's chat template is given."""
    prompts: Mapping[str, Any] = field(default_factory=dict)
    """What the student is asked with, which travels with the adapter; the examples hold it already."""
    known: KnownFiles = ANY_FILES
    """The files that the base weights are; others are refused."""

    @property
    def key(self) -> str:
        """SHA-256, in hex, of everything that decides what the training makes; where things lie does not."""
        return content_hash(
            {
                "student": self.student.model_dump(exclude={"pickled_weights", "published_as"}),
                "device": self.device,
                "chat_template_kwargs": dict(self.chat_template_kwargs),
                "phases": [_phase_contents(phase) for phase in self.phases],
                "settings": self.settings.model_dump(mode="json"),
                "lora": self.lora.model_dump(mode="json"),
                "seed": self.seed,
                "parent": [self.parent.version, self.parent.sha256],
                "version": self.version,
            }
        )


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
    micro_batch_size: int | None = None
    """Examples at a time that memory let it go on with; None: as it was set."""


class PeerLostError(TrainingError):
    """One of several processes that train together is gone. The training can go on from its last checkpoint."""


def _phase_contents(phase: TrainingPhase) -> list[object]:
    source = None if phase.given is None else [phase.source_hash, _state(phase.given)]
    return [phase.objective, dict(phase.kwargs or {}), source, [_contents(one) for one in phase.examples]]


def _state(given: object) -> str:
    """What tells one object of a class from another, as with another temperature; its attributes in words."""
    return _words(dict(sorted(getattr(given, "__dict__", {}).items())))


def _words(value: object, within: frozenset[int] = frozenset()) -> str:
    """A value in the same words in every process.

    Sets are sorted, and in place of where an object lies in memory stands what it holds.
    """
    if id(value) in within:
        return "…"
    said = partial(_words, within=within | {id(value)})
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(said, value)))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{said(key)}: {said(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(said, value))}]"
    text = repr(value)
    bare = _ADDRESS.sub("", text)
    return bare if bare == text else bare + said(getattr(value, "__dict__", {}))


def _contents(example: TrainingExample) -> list[object]:
    messages = [message.model_dump(mode="json") for message in example.messages]
    sampled = [list(example.token_ids), list(example.teacher_logprobs)]
    return [
        *(example.id, messages, list(example.completions), example.target, example.margin),
        *(list(example.unfinished), sampled),
    ]
