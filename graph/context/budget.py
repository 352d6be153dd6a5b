"""What a run may take, and what it has taken of it: asked before every request to a large model."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol, Self

from ...core.endpoints.costs import BudgetSettings
from ...core.errors import BudgetError
from ...core.records import TokenUsage
from ...store import Run, Store
from ...store.spending import Price, llm_usage, prices_of_run
from ...store.writes import updating
from .prices import seat_key
from .seats import Seat

TOLD_FROM = 0.8
"""From this share of a limit on whoever watches is told, once."""
KEPT_EVERY_S = 30.0
"""How often the time a run has been worked on is stored: a process that is killed loses no more of it."""

Tell = Callable[[str], None]


class Allowance(Protocol):
    """What is asked before every request, and told of every reply: a budget, or what stands for it elsewhere."""

    def check(self) -> None:
        """Raise BudgetError where nothing more may be asked."""

    def take(self, seat: Seat, usage: TokenUsage) -> None:
        """Count a reply that was paid for."""

    def when_spent(self, act: Callable[[], None]) -> None:
        """Have something done when nothing more may be asked."""


class Budget:
    """Tokens and dollars of one run, with what was taken of them before.

    What is in flight when a limit is reached is still taken and stored.
    """

    def __init__(
        self,
        settings: BudgetSettings,
        prices: Mapping[str, Price],
        tell: Tell,
        *,
        tokens: int = 0,
        usd: float = 0.0,
    ) -> None:
        self._prices, self._tell = prices, tell
        limits = {"tokens": settings.tokens, "usd": settings.usd}
        self._limits: dict[str, float] = {name: limit for name, limit in limits.items() if limit is not None}
        self._taken: dict[str, float] = {"tokens": tokens, "usd": usd}
        self._aside: dict[str, float] = dict.fromkeys(self._limits, 0.0)
        self._told = set[str]()
        self._when_spent: list[Callable[[], None]] = []
        self._tell_what_is_left()

    @classmethod
    def of(cls, store: Store, run: Run, settings: BudgetSettings, tell: Tell) -> Self:
        """The budget of a run, with what its stored replies took."""
        used = llm_usage(store, run).values()
        tokens = sum(one.input_tokens + one.output_tokens for one in used)
        usd = sum(one.usd or 0.0 for one in used)
        return cls(settings, prices_of_run(run), tell, tokens=tokens, usd=usd)

    @property
    def spent(self) -> bool:
        """Whether a limit is reached."""
        return any(self._taken[name] >= limit for name, limit in self._limits.items())

    def check(self) -> None:
        """Raise BudgetError where nothing more may be asked."""
        for name, limit in self._limits.items():
            if (taken := self._taken[name]) >= limit:
                raise _spent(name, limit, f"{shown_amount(name, taken)} were taken")

    def take(self, seat: Seat, usage: TokenUsage) -> None:
        """Count a reply that was paid for; whoever is to hear of it is told when a limit is reached."""
        self._taken["tokens"] += usage.input + usage.output
        price = self._prices.get(seat_key(seat))
        self._taken["usd"] += (price.dollars(usage) if price is not None else None) or 0.0
        self._tell_what_is_left()
        if self.spent:
            for act in self._when_spent:
                act()

    def set_aside(self, seat: Seat, usages: Sequence[TokenUsage]) -> tuple[int, Callable[[], None]]:
        """Keep back what requests may take; how many of them fit, and what gives it free.

        Args:
            seat: Who is asked.
            usages: The most that each of them may take.
        """
        price, kept = self._prices.get(seat_key(seat)), dict.fromkeys(self._limits, 0.0)
        fit = 0
        for usage in usages:
            dollars = (price.dollars(usage) if price is not None else None) or 0.0
            more = {"tokens": usage.input + usage.output, "usd": dollars}
            after = {name: kept[name] + more[name] for name in kept}
            if any(self._taken[name] + self._aside[name] + after[name] > limit for name, limit in self._limits.items()):
                break
            kept, fit = after, fit + 1
        for name, amount in kept.items():
            self._aside[name] += amount

        def give_back() -> None:
            for name, amount in kept.items():
                self._aside[name] -= amount

        return fit, give_back

    def when_spent(self, act: Callable[[], None]) -> None:
        """Have something done whenever a reply is counted and nothing more may be asked."""
        self._when_spent.append(act)

    def _tell_what_is_left(self) -> None:
        for name, limit in self._limits.items():
            if name not in self._told and self._taken[name] >= TOLD_FROM * limit:
                self._told.add(name)
                share = self._taken[name] / limit
                self._tell(f"note: {share:.0%} of budget.{name} ({shown_amount(name, limit)}) is spent")


@asynccontextmanager
async def working_time(store: Store, run: Run, minutes: float | None, tell: Tell) -> AsyncIterator[None]:
    """Count the block's time as worked on the run; cancel the block where `minutes` in all are over.

    Raises:
        BudgetError: they are, or were before.
    """
    began, before = time.monotonic(), run.seconds
    left = None if minutes is None else minutes * 60 - before
    if minutes is not None and left is not None and left <= 0:
        raise _spent("minutes", minutes, f"{shown_amount('minutes', before / 60)} were worked")

    def keep() -> None:
        store.update(Run, run.id, seconds=before + time.monotonic() - began)

    async def go_on_keeping() -> None:
        while True:
            await asyncio.sleep(KEPT_EVERY_S)
            await store.keep(updating(Run, run.id, seconds=before + time.monotonic() - began))

    async def tell_in_time(limit: float) -> None:
        await asyncio.sleep(max(0.0, TOLD_FROM * limit * 60 - before))
        tell(f"note: {TOLD_FROM:.0%} of budget.minutes ({shown_amount('minutes', limit)}) are over")

    beside = [asyncio.create_task(go_on_keeping())]
    if minutes is not None:
        beside.append(asyncio.create_task(tell_in_time(minutes)))
    clock = asyncio.timeout(left)
    try:
        async with clock:
            yield
    except TimeoutError:
        if not clock.expired() or minutes is None:
            raise
        raise _spent("minutes", minutes, "they are over") from None
    finally:
        for task in beside:
            task.cancel()
        for task in beside:
            with suppress(asyncio.CancelledError):
                await task
        keep()


def shown_amount(name: str, amount: float) -> str:
    """So much of what a budget limits, in words."""
    if name == "usd":
        return f"${amount:,.2f}" if amount >= 0.01 else f"${amount:.2g}"
    return f"{amount:,.0f} tokens" if name == "tokens" else f"{amount:,.3g} minutes"


def _spent(name: str, limit: float, how_much: str) -> BudgetError:
    error = BudgetError(
        f"the budget is spent: budget.{name} is {shown_amount(name, limit)}, and {how_much}; everything done so far is "
        f"stored, and the run can be resumed with more (--set budget.{name}=…)"
    )
    error.key = f"budget.{name}"
    return error
