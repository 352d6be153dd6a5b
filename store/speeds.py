"""How fast a run's models were, by its record: what an earlier run says about how long another will take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import col

from ..core.records import Agent
from .reading import Reader
from .tables.training import Training
from .tables.transcript import LLMCall, Turn

ENOUGH = 20
"""Texts of a student, or replies of a large model; from fewer no speed is taken."""
LOOKED_AT = 5_000
"""A student's latest texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentSpeed:
    """How fast a student generated."""

    tokens_per_s: float
    """Of one actor, while it had anything to do."""
    at_once: float
    """Requests that it had meanwhile, on average."""
    output_tokens: float
    """Of a text, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpeeds:
    """What a run's record says about speeds."""

    student: StudentSpeed | None = None
    """None where it wrote too little."""
    training_tokens_per_s: dict[str, float] = field(default_factory=dict)
    """Tokens that were learned from a second, prompts included, all processes together, by objective."""
    latency_s: dict[str, float] = field(default_factory=dict)
    """Mean seconds of a reply, by `ROLE.MEMBER`; of those that gave enough."""


def measured_speeds(reader: Reader, run_id: str) -> MeasuredSpeeds:
    """What a run measured so far."""
    return MeasuredSpeeds(
        student=_student(reader, run_id),
        training_tokens_per_s=_training(reader, run_id),
        latency_s=_latency(reader, run_id),
    )


def _student(reader: Reader, run_id: str) -> StudentSpeed | None:
    statement = (
        select(col(Turn.worker), col(Turn.created_at), col(Turn.latency_ms), col(Turn.output_tokens))
        # A text that was taken over from another run took no time.
        .where(col(Turn.run_id) == run_id, col(Turn.agent) == Agent.STUDENT, col(Turn.latency_ms) > 0)
        .order_by(col(Turn.created_at).desc())
        .limit(LOOKED_AT)
    )
    rows = reader.rows(statement)
    if len(rows) < ENOUGH:
        return None
    spans: dict[str | None, list[tuple[datetime, datetime]]] = {}
    for worker, ended, latency_ms, _ in rows:
        spans.setdefault(worker, []).append((ended - timedelta(milliseconds=latency_ms), ended))
    busy_s = sum(_covered_s(own) for own in spans.values())
    tokens = sum(row.output_tokens for row in rows)
    if not tokens:
        return None
    return StudentSpeed(
        tokens_per_s=tokens / busy_s,
        at_once=sum(row.latency_ms for row in rows) / 1000 / busy_s,
        output_tokens=tokens / len(rows),
    )


def _covered_s(spans: Sequence[tuple[datetime, datetime]]) -> float:
    """Seconds in which at least one of the spans goes on."""
    covered, until = timedelta(), min(begins for begins, _ in spans)
    for begins, ends in sorted(spans):
        covered += max(timedelta(), ends - max(begins, until))
        until = max(until, ends)
    return covered.total_seconds()


def _training(reader: Reader, run_id: str) -> dict[str, float]:
    totals: dict[str, tuple[float, float]] = {}
    for row in reader.select(Training, run_id=run_id, status="finished"):
        if row.metrics.get("seconds") and row.metrics.get("tokens"):
            tokens, seconds = totals.get(row.objective, (0.0, 0.0))
            totals[row.objective] = tokens + row.metrics["tokens"], seconds + row.metrics["seconds"]
    return {objective: tokens / seconds for objective, (tokens, seconds) in totals.items()}


def _latency(reader: Reader, run_id: str) -> dict[str, float]:
    statement = (
        select(col(LLMCall.role), col(LLMCall.member), func.avg(col(LLMCall.latency_ms)))
        # Of a batch nobody knows how long a single reply took.
        .where(col(LLMCall.run_id) == run_id, col(LLMCall.reused_from).is_(None), col(LLMCall.batched) == 0)
        .group_by(col(LLMCall.role), col(LLMCall.member))
        .having(func.count() >= ENOUGH)
    )
    return {f"{role}.{member}": milliseconds / 1000 for role, member, milliseconds in reader.rows(statement)}
