"""What driver and workers tell each other. Numbers tie an answer to what asked for it."""

import traceback
from dataclasses import dataclass, field
from typing import Any

from ...core.endpoints.secrets import hidden
from ...core.errors import BudgetError, OpenmicError
from ...core.records import GenerationRequest, TokenUsage
from ...store.writes import Write
from ..context.seats import Seat
from ..context.sending import Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker is opened with. It holds secrets, so no actor is made with it: Ray would keep it."""

    run_id: str
    place: int
    """Which of the workers it is, from 0."""
    store: str = field(repr=False)
    """The store's address, with its password where it has one."""
    patience_s: float
    """How long its own writes wait for a server that is gone."""
    simulated_url: str | None
    environment: dict[str, str | None] = field(repr=False)
    """Variables that endpoints and stores are reached by; None: not set."""
    given: dict[str, Sent] = field(repr=False)
    """Python objects by their configuration key."""
    spent: BudgetError | None


@dataclass(frozen=True, slots=True)
class Hold:
    """To a worker: a dialogue to be held."""

    dialogue_id: str
    round_number: int
    version: int
    overused: tuple[str, ...]
    new: bool
    """Whether the student has said nothing in it yet."""
    again: bool = False
    """Whether another worker held it, and may have stored replies since this one looked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """To a worker: what came of a write or a request of that number."""

    number: int
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """To a worker: nothing more may be asked."""

    error: BudgetError


@dataclass(frozen=True, slots=True)
class Kept:
    """To the driver: a write, to be acknowledged once it is committed."""

    number: int
    write: Write


@dataclass(frozen=True, slots=True)
class Asked:
    """To the driver: something for the student to say."""

    number: int
    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class Took:
    """To the driver: a reply was paid for."""

    seat: Seat
    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class Told:
    """To the driver: a line for whoever watches."""

    line: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """To the driver: what calls to endpoints wait for now; empty where all is well."""

    line: str


@dataclass(frozen=True, slots=True)
class Ended:
    """To the driver: a dialogue was held to its end, or ended the run."""

    dialogue_id: str
    error: Exception | None = None


Order = Hold | Answer | Spent
News = Kept | Asked | Took | Told | Trouble | Ended


def as_sent(error: Exception) -> Exception:
    """An error that another process can read; a defect's with where it was raised, which would be lost."""
    if isinstance(error, OpenmicError):
        return error
    told = RuntimeError(f"{type(error).__name__}: {hidden(str(error))}")
    told.add_note(hidden("".join(traceback.format_exception(error))))
    return told
