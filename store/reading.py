"""Reading rows, and finding runs and dialogues by the names people give them. Rows come back detached.

Every method may be called from any thread, sees one consistent state of the store, and waits for no writer.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, TypeVarTuple

from sqlalchemy import Column, ColumnElement, Connection, Engine, Row, Select, bindparam, func, or_, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from ..core.errors import NotFoundError, StoreFaultError
from ..core.records import LLMReply, Role
from .dialects.engine import file_of, snapshots
from .dialects.postgresql import holder
from .faults import is_gone, store_fault, unreadable
from .places import located, recorded
from .schema import column_of, table_of
from .tables.transcript import Dialogue, LLMCall, PromptRow, Run

T = TypeVar("T", bound=SQLModel)
R = TypeVar("R", Run, Dialogue)
V = TypeVar("V")
P = ParamSpec("P")
Columns = TypeVarTuple("Columns")

Messages = list[dict[str, str]]
"""Chat messages in order, each with its `role` and `content`."""

_IN_CHUNK = 10_000
"""Values in one IN list. SQLite takes 32,766 in a statement, so three long lists fit in one."""
PAUSE_S = 0.2
"""How long before a database that refused is tried again."""
_CANDIDATES = 8
"""How many ids an error lists."""
_REPLY = select(column_of(LLMCall, "reply")).where(
    column_of(LLMCall, "run_id") == bindparam("run_id"), column_of(LLMCall, "key") == bindparam("key")
)
"""The reply to one request. Looked for before every question, so without what making a row of it costs."""
_REPLIES = select(column_of(LLMCall, "run_id"), column_of(LLMCall, "reply")).where(
    column_of(LLMCall, "run_id").in_(bindparam("run_ids", expanding=True)),
    column_of(LLMCall, "key") == bindparam("key"),
)


class ThoughtsAlone(NamedTuple):
    """Replies of a model that were thought alone, of one run."""

    number: int
    most_room: int
    """Tokens that the one had which had most, beside those for its answer."""


class Reader:
    """The reading half of a store."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)
        self.url = url
        """The store's address as it may be shown."""
        self.patience_s = 0.0
        """How long a server that is gone is waited for before an error says so; more for a run than for a look."""
        self.ending = False
        """Whether whoever uses it is asked to end: the main thread, which has to see to that, waits for nothing."""
        file = file_of(engine)
        self._folder = None if file is None else file.parent

    @property
    def dialect(self) -> str:
        """What is particular about the database's SQL: `sqlite` or `postgresql`."""
        return self._engine.dialect.name

    async def patiently(self, read: Callable[P, V], *args: P.args, **kwargs: P.kwargs) -> V:
        """What a method of this reader returns, for coroutines: the event loop goes on while a server is waited for.

        Else replies on their way would run out of time, and be asked for again. A file keeps nobody waiting.

        Args:
            read: The method.
            *args: What it takes.
            **kwargs: What else it takes.

        Raises:
            StoreError: As the method does.
        """
        if self.dialect == "postgresql":
            return await asyncio.to_thread(read, *args, **kwargs)
        return read(*args, **kwargs)

    def located(self, place: str) -> str:
        """The absolute path, or the address, of a run's `home` or an adapter's `uri`."""
        return located(self.url, place)

    def shown_place(self, place: str) -> str:
        """As `located`, for people: of a place that openmic never makes, what the store has."""
        try:
            return self.located(place)
        except StoreFaultError:
            return place

    def recorded(self, path: str | Path) -> str:
        """What a row is to have of an absolute path or an address, so that `located` finds it again."""
        return recorded(self.url, path)

    def get(self, table: type[T], key: Any) -> T | None:
        """The row with this primary key (a tuple where the key has several columns), or None."""
        with self._session() as session:
            return session.get(table, key)

    def select(self, table: type[T], *, order_by: str | None = None, limit: int | None = None, **equal: Any) -> list[T]:
        """The rows whose columns equal the given values.

        Args:
            table: Which rows.
            order_by: A column's name, with `-` in front for descending. Nulls count as the smallest; rows that are
                equal in it, and all rows where it is not given, are in the order of their primary key.
            limit: The most rows to return.
            **equal: Values by column; None matches null, and a list matches any of its values, however many.

        Raises:
            TypeError: The table has no such column.
        """
        ordering = _ordering(table, order_by)
        order = [_ordered(column, descending) for column, descending in ordering]
        rows: list[T] = []
        statements = 0
        with self._session() as session:
            for conditions in _conditions(table, equal):
                statement = select(table).where(*conditions).order_by(*order).limit(limit)
                rows.extend(session.scalars(statement))
                statements += 1
        if statements > 1:
            for column, descending in reversed(ordering):
                rows.sort(key=_nulls_first(column.name), reverse=descending)
        return rows[:limit]

    def count(self, table: type[SQLModel], **equal: Any) -> int:
        """How many rows `select` would return.

        Raises:
            TypeError: The table has no such column.
        """
        with self._session() as session:
            statements = (select(func.count()).select_from(table).where(*c) for c in _conditions(table, equal))
            return sum(session.scalars(statement).one() for statement in statements)

    def rows(self, statement: Select[*Columns], **parameters: Any) -> Sequence[Row[*Columns]]:
        """The result of any SELECT, for what `select` cannot say."""
        with self._session() as session:
            return session.execute(statement, parameters).all()

    def saved_reply(self, run_id: str, key: str) -> LLMReply | None:
        """Reply of a large model to the request with this key in this run; None before it is asked."""
        with self._failing_well(), self._connected() as connection:
            reply = connection.scalar(_REPLY, {"run_id": run_id, "key": key})
            return None if reply is None else LLMReply.model_validate(reply)

    def saved_replies(self, run_ids: Sequence[str], key: str) -> dict[str, LLMReply]:
        """As `saved_reply` for several runs, by the run; those in which it was not asked are left out."""
        if not run_ids:
            return {}
        with self._failing_well(), self._connected() as connection:
            found = connection.execute(_REPLIES, {"run_ids": list(run_ids), "key": key}).all()
        return {run_id: LLMReply.model_validate(reply) for run_id, reply in found}

    def reply_keys(self, run_id: str) -> Iterator[str]:
        """The keys of all requests of a run whose replies are there."""
        keys = select(column_of(LLMCall, "key")).where(column_of(LLMCall, "run_id") == run_id)
        with self._failing_well(), self._connected() as connection:
            yield from connection.execution_options(yield_per=_IN_CHUNK).scalars(keys)

    def thoughts_alone(self, run_id: str) -> dict[tuple[Role, int], ThoughtsAlone]:
        """What of a run's large models, by role and member, is kept beside their replies for what it took."""
        asked, room = column_of(LLMCall, "request"), column_of(LLMCall, "reply")["raw", "room"].as_integer()
        statement = (
            select(column_of(LLMCall, "role"), column_of(LLMCall, "member"), func.count(), func.max(room))
            .where(column_of(LLMCall, "run_id") == run_id, asked["thought_alone"].as_integer() > 0)
            .group_by(column_of(LLMCall, "role"), column_of(LLMCall, "member"))
        )
        return {(role, member): ThoughtsAlone(number, most or 0) for role, member, number, most in self.rows(statement)}

    def held_on_server(self, what: str) -> bool | None:
        """Whether a process on any machine has a run or an experiment in hand; None where the database cannot know.

        `what` is as `Store.sole_writer` has it.
        """
        if self.dialect != "postgresql":
            return None
        with self._failing_well():
            return holder(self._engine, what) is not None

    def campaign_of(self, run: Run) -> Run:
        """The campaign that a run goes back to: itself, or the source of its source."""
        while run.source_run_id is not None:
            source = self.get(Run, run.source_run_id)
            assert source is not None
            run = source
        return run

    def prompts(self, hashes: Iterable[str | None]) -> dict[str, Messages]:
        """The messages behind these hashes, by hash; None stands for no prompt."""
        rows = self.select(PromptRow, hash=[known for known in dict.fromkeys(hashes) if known is not None])
        return {row.hash: row.messages for row in rows}

    def resolve_run(self, name: str) -> Run:
        """The run that `latest`, an id, or the unique beginning of one means; case does not matter.

        Raises:
            NotFoundError: No run does, or more than one; the message lists candidates.
        """
        return self._resolve(Run, name, "run", "created_at", {})

    def resolve_dialogue(self, name: str, run_id: str | None = None) -> Dialogue:
        """Like `resolve_run` for dialogues, of one run or of all.

        Raises:
            NotFoundError: No dialogue goes by that name, or more than one; the message lists candidates.
        """
        return self._resolve(Dialogue, name, "dialogue", "started_at", {} if run_id is None else {"run_id": run_id})

    def _resolve(self, table: type[R], name: str, what: str, moment: str, equal: dict[str, Any]) -> R:
        newest = self.select(table, order_by=f"-{moment}", limit=_CANDIDATES, **equal)
        if not newest:
            raise NotFoundError(f"the store {self.url!r} holds no {what} yet: `openmic run` makes one")
        if name.lower() == "latest":
            return newest[0]
        identity = func.lower(column_of(table, "id"))
        statement = select(table).where(*(column_of(table, column) == value for column, value in equal.items()))
        begins = statement.where(identity.startswith(name.lower(), autoescape=True)).order_by(identity)
        with self._session() as session:
            # An id that is itself the beginning of others comes first among them.
            found = list(session.scalars(begins.limit(_CANDIDATES + 1))) if name else []
        if found and (len(found) == 1 or found[0].id.lower() == name.lower()):
            return found[0]
        if found:
            raise NotFoundError(f"{name!r} is the beginning of several {what}s, give more of it: {_listed(found)}")
        raise NotFoundError(f"no {what} goes by {name!r}; the latest are {_listed(newest)}")

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._failing_well(), self._connected() as connection, Session(connection) as session:
            yield session

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection for reading; a server that is being started again is waited for."""
        began = time.monotonic()
        while True:
            try:
                connection = self._snapshots.connect()
                break
            except DBAPIError as error:
                if not is_gone(error) or self.ending or not self._may_wait(began):
                    raise
            time.sleep(PAUSE_S)
        with connection:
            yield connection

    def _may_wait(self, began: float) -> bool:
        if self.ending and threading.current_thread() is threading.main_thread():
            return False
        return time.monotonic() - began <= self.patience_s

    @contextmanager
    def _failing_well(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise store_fault(self.url, "reading", error, self._folder) from error
        except (ValueError, LookupError) as error:  # no JSON, no moment, no member of an enumeration
            raise unreadable(self.url, error) from error


def chunks(values: Sequence[V]) -> list[Sequence[V]]:
    """The values in pieces, each short enough for an IN list."""
    return [values[start : start + _IN_CHUNK] for start in range(0, len(values), _IN_CHUNK)]


def _conditions(table: type[SQLModel], equal: dict[str, Any]) -> Iterable[tuple[ColumnElement[bool], ...]]:
    """The conditions of each statement needed: more than one where a list is too long for a single one."""
    alternatives: list[list[ColumnElement[bool]]] = []
    for name, value in equal.items():
        column = column_of(table, name)
        if isinstance(value, list | tuple | set | frozenset):
            distinct = list(dict.fromkeys(value))
            alternatives.append([_among(column, chunk) for chunk in chunks(distinct)])
        else:
            alternatives.append([column == value])
    return product(*alternatives)


def _among(column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    # In SQL no list holds null.
    return or_(column.in_(values), column.is_(None)) if None in values else column.in_(values)


def _ordering(table: type[SQLModel], order_by: str | None) -> list[tuple[Column[Any], bool]]:
    """The columns that order the rows, each with whether it descends; never leaves two rows equal."""
    descending = order_by is not None and order_by.startswith("-")
    columns = [] if order_by is None else [column_of(table, order_by.removeprefix("-"))]
    columns += [column for column in table_of(table).primary_key.columns if column not in set(columns)]
    return [(column, descending) for column in columns]


def _ordered(column: Column[Any], descending: bool) -> ColumnElement[Any]:
    # Databases differ in where they put nulls.
    if not column.nullable:
        return column.desc() if descending else column.asc()
    return column.desc().nulls_last() if descending else column.asc().nulls_first()


def _nulls_first(name: str) -> Callable[[SQLModel], tuple[bool, Any]]:
    value = attrgetter(name)
    return lambda row: (value(row) is not None, value(row))


def _listed(rows: Sequence[Run] | Sequence[Dialogue]) -> str:
    names = [f"{row.id} ({row.name})" if isinstance(row, Run) else row.id for row in rows[:_CANDIDATES]]
    return ", ".join(names) + (", …" if len(rows) > _CANDIDATES else "")
