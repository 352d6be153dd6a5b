"""What a run took: tokens, dollars and time, by who said it. A reply is counted once, however many turns it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, select
from sqlmodel import col

from ..core.records import Agent, TokenUsage
from .reading import Reader
from .schema import column_of
from .tables.transcript import LLMCall, Run, Turn
from .tally import EXTRA, SAMPLED, Tallied, by_name, summed

MILLION = 1_000_000
_PARTS = ("input", "cached", "output", "reasoning", "estimated")
BATCH_SHARE = 0.5
"""Of a price, what providers charge for what comes in a batch."""
TAKEN_FROM = "run "
"""What stands before the run's id, in place of the worker, in a turn of the student's that was taken over."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model charges."""

    model: str
    per_million: dict[str, float] | None
    """Dollars per million tokens: `input`, `cached` of it, `output`, `reasoning` of it. None where nobody knows."""
    source: str
    """Who says so, and of which day; where nobody knows, who does not."""

    def dollars(self, usage: TokenUsage) -> float | None:
        """What so many tokens cost, that all came in batches or all one by one; None where nobody knows."""
        if (charged := self.per_million) is None:
            return None
        # Some servers count as cached or thought what is no part of the whole.
        cached, thought = min(usage.cached, usage.input), min(usage.reasoning, usage.output)
        prompt = (usage.input - cached) * charged["input"] + cached * charged["cached"]
        written = (usage.output - thought) * charged["output"] + thought * charged["reasoning"]
        return (prompt + written) / MILLION * (BATCH_SHARE if usage.batched else 1.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """All that was asked of one agent in a run, and paid for by it."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    """Those of the input tokens that the endpoint had cached."""
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of the output tokens that were thoughts."""
    estimated: int = 0
    """Replies whose tokens the endpoint did not count."""
    latency_ms: float = 0.0
    """The mean of a request, without what it waited for its turn."""
    queue_ms: float = 0.0
    """The mean that a request of the student waited for its turn; of a large model not known, so 0."""
    reused: int = 0
    """Further replies, that another run had paid for."""
    batched: int = 0
    """Those of the requests that came in a provider's batch, at half the price."""
    usd: float | None = None
    """What it cost; None where what one of the models charges is not known."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What one agent said in a run, and what that took."""

    turns: int
    usage: Usage


def prices_of_run(run: Run) -> dict[str, Price]:
    """What each member of its cast charged when the run began, by `ROLE.MEMBER`."""
    return {seat: Price(**price) for seat, price in run.cost.get("prices", {}).items()}


def spending(reader: Reader, run: Run) -> dict[Agent, Spending]:
    """What was spent on each agent that said anything. It looks at all turns of the run, which takes as long."""
    agent = col(Turn.agent)
    counts = [_total(column_of(Turn, name)) for name in ("input_tokens", "cached_tokens", "output_tokens")]
    waits = func.avg(col(Turn.latency_ms)), func.avg(col(Turn.queue_ms))
    statement = select(agent, func.count(), counts[0], counts[1], counts[2], *waits)
    rows = reader.rows(statement.where(col(Turn.run_id) == run.id).group_by(agent).order_by(agent))
    calls = llm_usage(reader, run)
    # One reply of the teacher's makes several demonstrations; the student is asked for every turn by itself.
    return {
        who: Spending(turns, calls.get(who) or Usage(turns, read, cached, written, latency_ms=took, queue_ms=waited))
        for who, turns, read, cached, written, took, waited in rows
    }


def llm_usage(reader: Reader, run: Run) -> dict[str, Usage]:
    """Usage of large models by role, requests that became no turn included."""
    prices = prices_of_run(run)
    found: dict[str, list[Usage]] = {}
    for role, member, reused, batched, requests, latency, *tokens in reader.rows(_usage_by_seat(run.id)):
        if reused is not None:
            found.setdefault(role, []).append(Usage(reused=requests, usd=0.0))
            continue
        counted = TokenUsage(**dict(zip(_PARTS, tokens, strict=True)), batched=batched)
        price = prices.get(f"{role}.{member}")
        found.setdefault(role, []).append(
            Usage(
                requests,
                counted.input,
                counted.cached,
                counted.output,
                counted.reasoning,
                counted.estimated,
                latency,
                batched=requests if batched else 0,
                usd=None if price is None else price.dollars(counted),
            )
        )
    return {role: _together(parts) for role, parts in found.items()}


def _usage_by_seat(run_id: str) -> Any:
    call = LLMCall
    seat = col(call.role), col(call.member), col(call.reused_from), col(call.batched)
    tokens = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "estimated")
    counts = (_total(column_of(call, name)) for name in tokens)
    statement = select(*seat, func.count(), func.avg(col(call.latency_ms)), *counts)
    return statement.where(col(call.run_id) == run_id).group_by(*seat).order_by(*seat)


def _together(parts: Sequence[Usage]) -> Usage:
    requests, costs = sum(part.requests for part in parts), [part.usd for part in parts]
    # A reply that came in a batch has no time of its own.
    timed = [(part.requests - part.batched, part.latency_ms) for part in parts]
    singly = sum(number for number, _ in timed)
    return Usage(
        requests=requests,
        input_tokens=sum(part.input_tokens for part in parts),
        cached_tokens=sum(part.cached_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        reasoning_tokens=sum(part.reasoning_tokens for part in parts),
        estimated=sum(part.estimated for part in parts),
        batched=sum(part.batched for part in parts),
        latency_ms=sum(number * each for number, each in timed) / singly if singly else 0.0,
        reused=sum(part.reused for part in parts),
        usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


def sampled_labels(tallied: Sequence[Tallied]) -> dict[str, dict[str, int]]:
    """What it took that labels were sampled: log-probabilities were missing, or too little of them was of 1 and 2.

    Returns:
        By agent: `comparisons` in which labels were sampled, and `extra_calls`, those beyond one in each order.
    """
    counts = summed(tallied)
    return {
        agent: {"comparisons": compared, "extra_calls": counts[EXTRA + agent]}
        for agent, compared in by_name(counts, SAMPLED).items()
    }


def _total(number: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums integers up to a decimal number.
    return cast(func.coalesce(func.sum(number), 0), BigInteger)


def cost(run: Run, used: dict[str, Any]) -> dict[str, Any]:
    """What a run took in all, beside what it was to take.

    Args:
        run: The run.
        used: What each role took, as `overview` gives it.

    Returns:
        `calls`, `tokens`, `usd` (None where what a model charges is not known), `minutes` of work,
        `prices` (who says what is charged), `unpriced` (models of which nobody knows it, each with why), `budget` (the
        limits there are), `estimate` (what was worked out before the run) and `foreseen_minutes` (how long it was to
        take at least); either is None where nothing was worked out.
    """
    prices = prices_of_run(run).values()
    dollars = [one["usd"] for one in used.values()]
    return {
        "calls": sum(one["calls"] for one in used.values()),
        "tokens": sum(one["input_tokens"] + one["output_tokens"] for one in used.values()),
        "usd": None if None in dollars else sum(dollars),
        "minutes": run.seconds / 60,
        "prices": sorted({price.source for price in prices if price.per_million is not None}),
        "unpriced": {price.model: price.source for price in prices if price.per_million is None},
        "budget": {name: limit for name, limit in run.config.get("budget", {}).items() if limit is not None},
        "estimate": run.cost.get("estimate"),
        "foreseen_minutes": None if (seconds := run.cost.get("foreseen_s")) is None else seconds / 60,
    }
