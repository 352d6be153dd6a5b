"""The tables of learning: adapters, what each was trained on, and how it did.

Every training item points at the turn or preference it came from, so that any adapter can be traced to the words it was
made of; the constraints make it impossible to learn from one preference twice. `Adapter`, `Training` and `Evaluation`
change afterwards, by `Store.update`; the others never.
"""

from typing import Any, Literal

from pydantic import AwareDatetime
from sqlalchemy import JSON, CheckConstraint, UniqueConstraint
from sqlmodel import Field
from sqlmodel.sql.sqltypes import AutoString

from ...core.records import Outcome, Split
from ..schema import TableModel, index_where_set, member_of, now

AdapterStage = Literal["base", "imitation", "round"]
AdapterStatus = Literal["candidate", "promoted", "rolled_back"]
TrainingStage = Literal["imitation", "round"]
TrainingStatus = Literal["running", "finished", "failed"]
EvaluationStatus = Literal["running", "finished"]


class Training(TableModel, table=True):
    """One fine-tuning: from a starting adapter and a list of items to a new adapter."""

    __tablename__ = "training"
    __table_args__ = (UniqueConstraint("run_id", "adapter_version"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    stage: TrainingStage = Field(sa_type=AutoString)
    round: int
    objective: str
    parent_version: int
    """The adapter it starts from; 0 is the bare base model."""
    adapter_version: int
    """The adapter it makes, which is registered when the training is finished."""
    status: TrainingStatus = Field(default="running", sa_type=AutoString)
    config: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    seed: int
    examples: int
    """How many items it learns from."""
    metrics: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was measured. `labels` is `shuffled` or `random` where it did not learn the critic's. `left_out` counts
    items that were not learned from, `left_out_items` names them, and `left_out_why` says why. `micro_batch_size` is
    what memory let it have where it ran out."""
    started_at: AwareDatetime = Field(default_factory=now)
    finished_at: AwareDatetime | None = None


class TrainingItem(TableModel, table=True):
    """One thing a training learned from: a turn, or a preference, which one training of a run consumes for good."""

    __tablename__ = "training_item"
    __table_args__ = (
        UniqueConstraint("training_id", "turn_id"),
        UniqueConstraint("run_id", "preference_id"),
        CheckConstraint("(turn_id IS NULL) <> (preference_id IS NULL)", name="one_source"),
        index_where_set("training_item", "turn_id"),
    )

    id: str = Field(primary_key=True)
    training_id: str = Field(foreign_key="training.id", index=True)
    run_id: str = Field(foreign_key="run.id")
    position: int
    turn_id: str | None = Field(default=None, foreign_key="turn.id")
    preference_id: str | None = Field(default=None, foreign_key="preference.id", index=True)


class TrainingMetric(TableModel, table=True):
    """What was measured at one optimizer step."""

    __tablename__ = "training_metric"

    training_id: str = Field(primary_key=True, foreign_key="training.id")
    step: int = Field(primary_key=True)
    values: dict[str, Any] = Field(sa_type=JSON)


class Adapter(TableModel, table=True):
    """One version of the student. Version 0, stage `base`, is the base model without an adapter."""

    __tablename__ = "adapter"
    __table_args__ = (UniqueConstraint("run_id", "version"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    version: int
    stage: AdapterStage = Field(sa_type=AutoString)
    round: int
    parent_version: int | None = None
    base_model: str
    uri: str | None = None
    """Where its files lie, relative to the folder of the store's file where that can be; None for version 0."""
    sha256: str | None = None
    """The hash of its manifest."""
    lora: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    training_id: str | None = Field(default=None, foreign_key="training.id")
    status: AdapterStatus = Field(default="candidate", sa_type=AutoString)
    reason: str | None = None
    """Why it was promoted or rolled back."""
    created_at: AwareDatetime = Field(default_factory=now)
    decided_at: AwareDatetime | None = None


class Evaluation(TableModel, table=True):
    """The judge's examination of one adapter on one split."""

    __tablename__ = "evaluation"
    __table_args__ = (UniqueConstraint("run_id", "adapter_version", "split"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    adapter_version: int
    split: Split = Field(sa_type=member_of(Split))
    status: EvaluationStatus = Field(default="running", sa_type=AutoString)
    summary: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: AwareDatetime = Field(default_factory=now)
    finished_at: AwareDatetime | None = None


class EvaluationItem(TableModel, table=True):
    """How the adapter did on one input, against a reference text."""

    __tablename__ = "evaluation_item"
    __table_args__ = (index_where_set("evaluation_item", "critic_verdict_id"),)

    evaluation_id: str = Field(primary_key=True, foreign_key="evaluation.id")
    example_id: str = Field(primary_key=True, foreign_key="example.id")
    output_turn_id: str = Field(foreign_key="turn.id", index=True)
    reference_turn_id: str = Field(foreign_key="turn.id", index=True)
    verdict_id: str = Field(foreign_key="verdict.id", index=True)
    critic_verdict_id: str | None = Field(default=None, foreign_key="verdict.id")
    """What the critic said of the same two texts, where it was asked (`evaluation.critic`)."""
    outcome: Outcome = Field(sa_type=AutoString)
    """How the output fared against the reference."""
    scores: dict[str, float] = Field(default_factory=dict, sa_type=JSON)
    """Of the output, by the name of the scorer; one that failed on it is missing."""
    length_ratio: float = Field(ge=0)
    """Length of the output over that of the input."""


def left_out_items(training: Training) -> frozenset[str]:
    """Ids of the items that a training was begun with and did not learn from."""
    return frozenset(training.metrics.get("left_out_items", ()))
