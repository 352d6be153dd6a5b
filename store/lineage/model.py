"""Lineage of a text or an adapter: where it comes from and what became of it."""

from dataclasses import dataclass, field, fields
from typing import Any

from sqlmodel import SQLModel

from ..tables.training import Adapter, Evaluation, EvaluationItem, Training, TrainingItem
from ..tables.transcript import (
    BallotRow,
    CritiqueRow,
    Dialogue,
    ExampleRow,
    LLMCall,
    Preference,
    PromptTemplateRow,
    Run,
    Turn,
    VerdictRow,
)


class Lineage:
    """Rows that belong together."""

    __slots__ = ()

    def as_json(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        found: dict[str, Any] = _as_json(self)
        return found


def _as_json(value: Any) -> Any:
    if isinstance(value, SQLModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, Lineage):
        parts = fields(value)  # type: ignore[arg-type] # every subclass is a dataclass
        return {part.name: _as_json(getattr(value, part.name)) for part in parts}
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWithPrompt(Lineage):
    """A turn with the prompt behind it."""

    turn: Turn
    template: PromptTemplateRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReply(Lineage):
    """One of the replies that went into a verdict."""

    said: TurnWithPrompt
    ballot: BallotRow


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLineage(Lineage):
    """A verdict, its two texts, and the replies of both orders."""

    verdict: VerdictRow
    first: Turn
    second: Turn
    replies: list[VerdictReply]


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueLineage(Lineage):
    """A critique, taken apart, and the turn it was said in."""

    critique: CritiqueRow
    said: TurnWithPrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceLineage(Lineage):
    """A preference, and all it was made of."""

    preference: Preference
    chosen: TurnWithPrompt
    rejected: TurnWithPrompt
    verdict: VerdictLineage | None
    critiques: list[CritiqueLineage]
    """What was criticised of either text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedItem(Lineage):
    """One thing a training learned from: a preference, or a text."""

    item: TrainingItem
    preference: PreferenceLineage | None = None
    text: TurnWithPrompt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor(Lineage):
    """An adapter that another one began from, and how it was made."""

    adapter: Adapter
    training: Training | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLineage(Lineage):
    """An adapter, from what it learned to what became of it."""

    run: Run
    adapter: Adapter
    training: Training | None
    """None for the base model."""
    ancestors: list[Ancestor]
    """The nearest first; the base model last."""
    learned: list[LearnedItem]
    """In the order of the training; the first so many where a limit was given."""
    learned_total: int
    left_out: dict[str, int]
    """How many things its training was begun with and did not learn from, by the reason."""
    evaluations: list[Evaluation]
    descendants: list[Adapter]
    """Those that began from it."""
    turns: int
    """How many turns it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedBy(Lineage):
    """A training that learned from a turn, what it made, and how that did."""

    training: Training
    adapter: Adapter | None
    """None while the training goes on."""
    evaluations: list[Evaluation]
    preference: PreferenceLineage | None
    """The preference it learned the turn through; None where the turn itself was the text to imitate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLineage(Lineage):
    """A turn, from what it was made of to what became of it."""

    said: TurnWithPrompt
    run: Run
    dialogue: Dialogue
    example: ExampleRow
    split: str | None
    """Which part the input plays in the run."""
    call: LLMCall | None
    """The exact request and reply of a large model; None for the student's."""
    answers: TurnWithPrompt | None
    """The turn that this one answers."""
    adapter: AdapterLineage | None
    """Of a student's turn, the adapter it spoke with."""
    part_of: VerdictLineage | None
    """Of a verdict turn, the verdict it is part of."""
    critiques: list[CritiqueLineage] = field(default_factory=list)
    """What was said about it."""
    verdicts: list[VerdictLineage] = field(default_factory=list)
    """Comparisons of it with other texts, of all runs."""
    revisions: list[TurnWithPrompt] = field(default_factory=list)
    """What was made of it; of a critique, what was written after it."""
    preferences: list[PreferenceLineage] = field(default_factory=list)
    """Those it is in, of all runs; of a verdict's turn those it made, of a critique those of the revision after it."""
    learned_by: list[LearnedBy] = field(default_factory=list)
    evaluation_items: list[EvaluationItem] = field(default_factory=list)
    """Evaluations it was judged in, as output or as reference."""
