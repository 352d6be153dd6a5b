"""What a run took: tokens and time, by who said it. A reply is counted once, however many turns it became."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, cast, func, select
from sqlmodel import col

from ..core.records import Agent
from .reading import Reader
from .schema import column_of
from .tables.transcript import BallotRow, LLMCall, Turn, VerdictRow


@dataclass(frozen=True, slots=True)
class Usage:
    """All that was asked of one agent in a run."""

    requests: int
    input_tokens: int
    cached_tokens: int
    """Those of the input tokens that the endpoint had cached."""
    output_tokens: int
    latency_ms: float
    """The mean of a request."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What one agent said in a run, and what that took."""

    turns: int
    usage: Usage


def spending(reader: Reader, run_id: str) -> dict[Agent, Spending]:
    """What was spent on each agent that said anything. It looks at all turns of the run, which takes as long."""
    agent = col(Turn.agent)
    counts = (_total(column_of(Turn, name)) for name in ("input_tokens", "cached_tokens", "output_tokens"))
    statement = select(agent, func.count(), *counts, func.avg(col(Turn.latency_ms)))
    rows = reader.rows(statement.where(col(Turn.run_id) == run_id).group_by(agent).order_by(agent))
    calls = llm_usage(reader, run_id)
    # One reply of the teacher's makes several demonstrations; the student is asked for every turn by itself.
    return {who: Spending(turns, calls.get(who, Usage(turns, *rest))) for who, turns, *rest in rows}


def llm_usage(reader: Reader, run_id: str) -> dict[str, Usage]:
    """Usage of large models by role, requests that became no turn included."""
    role, reply = col(LLMCall.role), column_of(LLMCall, "reply")
    counts = (_total(reply["usage"][part].as_integer()) for part in ("input", "cached", "output"))
    latency = func.coalesce(func.avg(reply["latency_ms"].as_float()), 0.0)
    statement = select(role, func.count(), *counts, latency).where(col(LLMCall.run_id) == run_id)
    return {name: Usage(*numbers) for name, *numbers in reader.rows(statement.group_by(role).order_by(role))}


def sampled_labels(reader: Reader, run_id: str) -> dict[str, dict[str, int]]:
    """What it took that labels were sampled: log-probabilities were missing, or too little of them was of 1 and 2.

    Returns:
        By agent: `comparisons` in which labels were sampled, and `extra_calls`, those beyond one in each order.
    """
    ballot, verdict = BallotRow, VerdictRow
    orders = (
        select(col(verdict.agent).label("agent"), col(verdict.id).label("verdict"), func.count().label("labels"))
        .join(ballot, col(ballot.verdict_id) == col(verdict.id))
        .where(col(verdict.run_id) == run_id, col(ballot.method) == "sampled")
        .group_by(col(verdict.agent), col(verdict.id), col(ballot.member), col(ballot.forward))
        .subquery()
    )
    agent = orders.c.agent
    counts = func.count(func.distinct(orders.c.verdict)), _total(orders.c.labels - 1)
    found = reader.rows(select(agent, *counts).group_by(agent).order_by(agent))
    return {name: {"comparisons": compared, "extra_calls": extra} for name, compared, extra in found}


def _total(number: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums integers up to a decimal number.
    return cast(func.coalesce(func.sum(number), 0), BigInteger)
