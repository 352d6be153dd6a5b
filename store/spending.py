"""What a run's turns took: tokens and time, by who said them."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, cast, func, select
from sqlmodel import col

from ..core.records import Agent
from .reading import Reader
from .tables.transcript import Turn


@dataclass(frozen=True, slots=True)
class Spending:
    """All of one agent's turns in a run."""

    turns: int
    input_tokens: int
    cached_tokens: int
    """Those of the input tokens that the endpoint had cached."""
    output_tokens: int
    latency_ms: float
    """The mean of a turn."""


def spending(reader: Reader, run_id: str) -> dict[Agent, Spending]:
    """What the turns took of each agent that said any. It looks at all turns of the run, which takes as long."""
    total = (
        # PostgreSQL sums integers up to a decimal number.
        cast(func.sum(column), BigInteger)
        for column in (col(Turn.input_tokens), col(Turn.cached_tokens), col(Turn.output_tokens))
    )
    agent = col(Turn.agent)
    statement = select(agent, func.count(), *total, func.avg(col(Turn.latency_ms)))
    rows = reader.rows(statement.where(col(Turn.run_id) == run_id).group_by(agent).order_by(agent))
    return {who: Spending(*numbers) for who, *numbers in rows}
