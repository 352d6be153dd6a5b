"""Writes as values: what is to be written, checked and ready. They may wait in a queue, or go to another process.

Not for carrying them out: the store does that, one at a time or many in one transaction (`writer`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Connection, Table, Update, and_, bindparam, insert, update
from sqlmodel import SQLModel

from ..core.errors import NotFoundError
from ..core.ids import content_hash
from ..core.records import LLMReply, LLMRequest, as_sent
from .dialects.engine import insert_unless_present, place_of
from .row_values import changed, checked, finite, named, values_by_model
from .schema import TableModel, column_of, table_of
from .tables.training import Adapter, Evaluation, Training
from .tables.transcript import Dialogue, LLMCall, PromptRow, Run
from .tally import tally_of

_MUTABLE: frozenset[type[SQLModel]] = frozenset({Run, Dialogue, Adapter, Training, Evaluation})
_KEY = "key_of_{}"


class Write(Protocol):
    """Something to be written, by itself or in one transaction with others."""

    @property
    def doing(self) -> str:
        """What it is, for an error, as in "adding Turn 't0'"."""
        ...

    @property
    def again(self) -> bool:
        """Whether it does no harm twice: nobody knows what became of a transaction whose connection was lost."""
        ...

    @property
    def last_words(self) -> bool:
        """Whether it is done on a full disk too, in what was reserved."""
        ...

    def put(self, connection: Connection) -> int:
        """Write it; returns how many rows were added or changed."""
        ...


@dataclass(frozen=True, slots=True)
class Insertion:
    """Rows to be added, all or none."""

    values: Mapping[type[SQLModel], list[dict[str, Any]]]
    """Values of rows by their classes."""
    unless_present: bool = True
    """Whether rows whose primary key exists are passed over."""
    last_words: bool = False

    @property
    def doing(self) -> str:
        """What it is."""
        return f"adding {named(self.values)}"

    @property
    def again(self) -> bool:
        """Whether it does no harm twice."""
        return self.unless_present

    def put(self, connection: Connection) -> int:
        """Insert the rows; returns how many were."""
        added = 0
        for table, values in sorted(
            ((table_of(model), values) for model, values in self.values.items()), key=lambda item: _places()[item[0]]
        ):
            statement = insert_unless_present(table, connection.dialect.name) if self.unless_present else insert(table)
            done = connection.execute(statement, values, execution_options={"preserve_rowcount": True})
            added += done.rowcount
        return added


@dataclass(frozen=True, slots=True)
class Change:
    """Columns of one row to be set. With its end a dialogue gets its tally."""

    model: type[SQLModel]
    key: Mapping[str, Any]
    """The row's primary key."""
    values: Mapping[str, Any]
    again: bool = True
    last_words: bool = True

    @property
    def doing(self) -> str:
        """What it is."""
        return f"updating {self._name}"

    def put(self, connection: Connection) -> int:
        """Set them.

        Raises:
            NotFoundError: There is no such row.
        """
        key = {_KEY.format(name): part for name, part in self.key.items()}
        values = dict(self.values)
        if self.model is Dialogue and "status" in values:
            values["tally"] = tally_of(connection, self.key["id"]) if values["status"] == "finished" else None
        if connection.execute(_update(self.model), key | values).rowcount == 0:
            raise NotFoundError(f"there is no {self._name} in the store {place_of(connection.engine)!r}")
        return 1

    @property
    def _name(self) -> str:
        key = tuple(self.key.values())
        return f"{self.model.__name__} {key[0] if len(key) == 1 else key!r}"


@cache
def _places() -> dict[Table, int]:
    """The tables' order, those that others refer to first; sorting them takes longer than adding a row does."""
    return {table: place for place, table in enumerate(TableModel.metadata.sorted_tables)}


@cache
def _update(model: type[SQLModel]) -> Update:
    table = table_of(model)
    return update(table).where(and_(*(column == bindparam(_KEY.format(column.name)) for column in table.primary_key)))


def adding(*rows: SQLModel, unless_present: bool = False, last_words: bool = False) -> Insertion:
    """Rows to be added, all or none. They may be of several tables: rows that others refer to are inserted first.

    The rows given are not tied to it; changing them afterwards changes nothing in it.

    Raises:
        StoreFaultError: A row is malformed.
    """
    return Insertion(values_by_model(rows), unless_present, last_words)


def adding_new(*rows: SQLModel) -> Insertion:
    """Like `adding`, but rows whose primary key exists are left as they are."""
    return adding(*rows, unless_present=True)


def updating(model: type[SQLModel], key: Any, **values: Any) -> Change:
    """Columns of a run, dialogue, adapter, training or evaluation to be set; JSON is replaced as a whole.

    Raises:
        TypeError: Rows of this table never change, it has no such column, or the column is its primary key.
        StoreFaultError: The row would become malformed.
    """
    if model not in _MUTABLE:
        raise TypeError(f"rows of {model.__name__} never change once they are added; add another instead")
    if fixed := [name for name in values if column_of(model, name).primary_key]:
        raise TypeError(f"{fixed[0]!r} is what identifies a row of {model.__name__}, and never changes")
    keys = key if isinstance(key, tuple) else (key,)
    names = [column.name for column in table_of(model).primary_key.columns]
    identity = dict(zip(names, keys, strict=True))
    return Change(model, identity, changed(model, identity, values))


def saving_reply(run_id: str, request: LLMRequest, reply: LLMReply, reused_from: str | None = None) -> Insertion:
    """What a large model answered, to be kept whatever numbers it holds. The first reply to a request stays.

    Args:
        run_id: Whose reply it is.
        request: What was asked.
        reply: The answer.
        reused_from: The run that had asked for it, where it was another.
    """
    asked = {
        "sampling": request.sampling.model_dump(),
        "seed": request.seed,
        "member": request.member,
        "ordinal": request.ordinal,
        "top_logprobs": request.top_logprobs,
        "json_schema": request.json_schema,
        "score_prompt": request.score_prompt,
        "prompt_ids": request.prompt_ids,
        "thought_alone": request.thought_alone,
    }
    answered = reply.model_dump()
    try:
        reply_hash = content_hash(answered)
    except ValueError:  # what JSON has no numbers for
        answered = finite(answered)
        reply_hash = content_hash(answered)
    call = {
        "run_id": run_id,
        "key": request.key,
        "role": request.role,
        "member": request.member,
        "model": request.model,
        "prompt_hash": request.prompt_hash,
        "input_tokens": reply.usage.input,
        "cached_tokens": reply.usage.cached,
        "output_tokens": reply.usage.output,
        "reasoning_tokens": reply.usage.reasoning,
        "estimated": int(reply.usage.estimated > 0),
        "batched": int(reply.usage.batched > 0),
        "latency_ms": answered["latency_ms"],
        "request": asked,
        "reply": answered,
        "reply_hash": reply_hash,
        "reused_from": reused_from,
    }
    prompt = {"hash": request.prompt_hash, "messages": as_sent(request.messages)}
    # Nobody looks at these as rows, which take longer to make than to check.
    return Insertion({PromptRow: [checked(PromptRow, prompt)], LLMCall: [checked(LLMCall, call)]}, last_words=True)


def together(writes: Sequence[Write]) -> list[Write]:
    """The same writes in fewer statements: the rows of one table that are added unless they are there, in one.

    What is added in between another way keeps its place behind what came before it.
    """
    merged: list[Write] = []
    rows: dict[type[SQLModel], list[dict[str, Any]]] | None = None
    for write in writes:
        if not isinstance(write, Insertion) or not write.unless_present:
            merged.append(write)
            rows = None
            continue
        if rows is None:
            rows = {}
            merged.append(Insertion(rows))
        for model, values in write.values.items():
            rows.setdefault(model, []).extend(values)
    return merged
