"""Which dialogues are wanted, and in which order: what the command line and the viewer both ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVarTuple, get_args

from sqlalchemy import Boolean, ColumnElement, FunctionElement, Select, and_, case, func, literal, or_, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import col

from ...core.records import Agent, Split, Stage
from ..schema import column_of
from ..tables.transcript import Dialogue, DialogueStatus, ExampleRow, Run, RunExample, Turn, VerdictRow
from ..tags import has_tag
from .words import example_matches, terms_of, turn_matches

Columns = TypeVarTuple("Columns")

VerdictFilter = Literal["win", "tie", "loss", "inconsistent"]
DialogueOrder = Literal["started", "-started", "input", "-input", "turns", "-turns"]
"""When a dialogue was begun, its input's text, how many turns it has; `-` is descending."""
_COMMON = 1000
"""Turns of a run that hold a word which is not rare: a page is full after a look at some of them."""
ORDERS: tuple[DialogueOrder, ...] = get_args(DialogueOrder)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueFilter:
    """What a dialogue must be like; None asks for nothing, and what is asked for must all be so."""

    stage: Stage | None = None
    """Which part of the run it belongs to."""
    split: Split | None = None
    """Which part its input plays."""
    round: int | None = None
    status: DialogueStatus | None = None
    stop_reason: str | None = None
    agent: Agent | None = None
    """Someone who said something in it."""
    adapter_version: int | None = None
    """A version of the student that said something in it."""
    verdict: VerdictFilter | None = None
    """How the first text of any verdict in it fared; or that the orders of one disagreed."""
    tag: str | None = None
    """A tag that someone gave it."""
    text: str | None = None
    """Words, and phrases in double quotes, that the input, or any one turn, holds all of, as `search` understands them;
    of a text without any word, its signs as they are."""

    def conditions(self, run_id: str) -> list[ColumnElement[bool]]:
        """What a SELECT over the `Dialogue`s of a run adds to its WHERE."""
        equal = {"stage": self.stage, "round": self.round, "status": self.status, "stop_reason": self.stop_reason}
        found = [getattr(Dialogue, name) == value for name, value in equal.items() if value is not None]
        if self.split is not None:
            found.append(_in_split(self.split, run_id))
        if self.agent is not None:
            found.append(_has_turn_by(self.agent))
        if self.adapter_version is not None:
            found.append(_has_turn_by(Agent.STUDENT, col(Turn.adapter_version) == self.adapter_version))
        if self.verdict is not None:
            found.append(_has_verdict(self.verdict))
        if self.tag is not None:
            found.append(has_tag(self.tag))
        if self.text is not None:
            found.append(_holds(self.text, run_id))
        return found

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.as_json()

    def as_json(self) -> dict[str, Any]:
        """What is asked for, by name; nothing else."""
        values = ((part.name, getattr(self, part.name)) for part in fields(self))
        return {name: value for name, value in values if value is not None}


def sort_key(order: DialogueOrder) -> ColumnElement[Any]:
    """What dialogues are sorted by, for a SELECT that joins their `ExampleRow`."""
    match order.removeprefix("-"):
        case "input":
            return column_of(ExampleRow, "text")
        case "turns":
            return turn_count()
    return column_of(Dialogue, "started_at")


def turn_count() -> ColumnElement[int]:
    """How many turns a dialogue of the SELECT has."""
    said = select(func.count()).select_from(Turn).where(col(Turn.dialogue_id) == col(Dialogue.id))
    return said.correlate(Dialogue).scalar_subquery()


def in_order(statement: Select[*Columns], order: DialogueOrder, *, reverse: bool = False) -> Select[*Columns]:
    """The SELECT sorted; dialogues that are equal in what they are sorted by are sorted by their ids."""
    columns = sort_key(order), column_of(Dialogue, "id")
    descending = order.startswith("-") is not reverse
    return statement.order_by(*(column.desc() if descending else column.asc() for column in columns))


def beyond(order: DialogueOrder, place: Sequence[Any], *, reverse: bool = False) -> ColumnElement[bool]:
    """Condition that a dialogue comes after a sort key and id in the order; reversed, before them."""
    columns = sort_key(order), column_of(Dialogue, "id")
    here, there = tuple_(*columns), tuple_(*place, types=[column.type for column in columns])
    return here < there if order.startswith("-") is not reverse else here > there


def _in_split(split: Split, run_id: str) -> ColumnElement[bool]:
    """Condition that a dialogue's input is in the split of the campaign that the run goes back to."""
    source, its_source = aliased(Run), aliased(Run)
    of_source = select(col(source.source_run_id)).where(col(source.id) == run_id).correlate(None)
    beyond_it = select(col(its_source.source_run_id)).where(col(its_source.id).in_(of_source)).correlate(None)
    place = col(RunExample.run_id)
    known = or_(place == run_id, place.in_(of_source), place.in_(beyond_it))
    found = select(col(RunExample.example_id)).where(known, col(RunExample.split) == split).correlate(None)
    return col(Dialogue.example_id).in_(found)


def _has_turn(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    found = select(col(Turn.id)).where(col(Turn.dialogue_id) == col(Dialogue.id), condition)
    return found.correlate(Dialogue).exists()


def _has_turn_by(agent: Agent, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    # There is an index that begins with run and agent.
    return _has_turn(and_(col(Turn.run_id) == col(Dialogue.run_id), col(Turn.agent) == agent, *more))


class _HoldsWords(FunctionElement[bool]):
    """Condition that words are in a dialogue, asked of each or of all: whichever the database is fast at.

    SQLite is asked of one dialogue after the other: a page is full long before all that hold a common word were found.
    PostgreSQL would look the word up in its index anew for every dialogue, so it is asked of all if they are few.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, of_each: ColumnElement[bool], of_all: ColumnElement[bool]) -> None:
        super().__init__(of_each, of_all)


@compiles(_HoldsWords, "sqlite")
def _of_each(element: _HoldsWords, compiler: SQLCompiler, **options: object) -> str:
    of_each, _ = element.clauses
    return f"({compiler.process(of_each, **options)})"


@compiles(_HoldsWords, "postgresql")
def _of_all(element: _HoldsWords, compiler: SQLCompiler, **options: object) -> str:
    _, of_all = element.clauses
    return f"({compiler.process(of_all, **options)})"


def _has_verdict(wanted: VerdictFilter) -> ColumnElement[bool]:
    condition = ~col(VerdictRow.consistent) if wanted == "inconsistent" else col(VerdictRow.outcome) == wanted
    found = select(col(VerdictRow.id)).where(col(VerdictRow.dialogue_id) == col(Dialogue.id), condition)
    return found.correlate(Dialogue).exists()


def _holds(text: str, run_id: str) -> ColumnElement[bool]:
    terms = terms_of(text)
    if terms:
        matches = turn_matches(terms, run_id)
        turns = select(col(Turn.dialogue_id)).where(col(Turn.run_id) == run_id, matches).correlate(None)
        some = turns.limit(_COMMON + 1).subquery()
        common = select(func.count() > _COMMON).select_from(some).scalar_subquery()
        # PostgreSQL would turn an EXISTS into a look-up of all after all.
        one = select(literal(True)).where(col(Turn.dialogue_id) == col(Dialogue.id), matches).limit(1)
        held = case((common, one.correlate(Dialogue).scalar_subquery()), else_=col(Dialogue.id).in_(turns))
        inputs = select(col(ExampleRow.id)).where(example_matches(terms)).correlate(None)
        return _HoldsWords(
            or_(example_matches(terms), _has_turn(matches)), or_(col(Dialogue.example_id).in_(inputs), held)
        )
    # No index knows signs.
    said = _has_turn(col(Turn.content).contains(text, autoescape=True))
    return or_(col(ExampleRow.text).contains(text, autoescape=True), said)
