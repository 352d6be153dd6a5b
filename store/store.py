"""The store: opening it, and writing to it. Reading is in `reading` and `conversations`.

One process writes, the driver; others open the store read-only. Every write is a transaction of its own, committed
when the call returns, and may come from any thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Insert, Table, and_, insert, select, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import SQLModel

from ..core.errors import NotFoundError, StoreError
from ..core.records import LLMReply, LLMRequest
from .admin import migrate
from .conversations import ConversationReader
from .dialects.engine import (
    check_writable,
    insert_unless_present,
    reading_engine,
    sole_writer,
    writing,
    writing_engine,
)
from .dialects.location import is_postgresql, normalize_url, shown_url, sqlite_path
from .dialects.postgresql import reason
from .reading import lost
from .row_values import checked, finite, named, values_by_table
from .schema import TableModel, column_of, table_of
from .tables.training import Adapter, Evaluation, Training
from .tables.transcript import Dialogue, LLMCall, PromptRow, Run

_PLACES = {table: place for place, table in enumerate(TableModel.metadata.sorted_tables)}
"""The tables' order, those that others refer to first; sorting them takes longer than adding a row does."""

_MUTABLE: frozenset[type[SQLModel]] = frozenset({Run, Dialogue, Adapter, Training, Evaluation})


class Store(ConversationReader):
    """A transcript store. Use `open` or `open_readonly`; close it, or use it as a context manager."""

    def __init__(self, engine: Engine, address: str, *, readonly: bool) -> None:
        super().__init__(engine, shown_url(address))
        self.address = address
        """The store's normalized address with its password where it has one: to connect with, never to be shown."""
        self._readonly = readonly
        self._lock = Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a store for writing: a file and its folders are created, and the schema is brought up to date.

        An older file is backed up beside itself before it is migrated; an older database of PostgreSQL's is refused,
        and `openmic db migrate` migrates it.

        Args:
            url: A path, `sqlite:///PATH`, or `postgresql://USER@HOST/DATABASE` of a database that is there.

        Raises:
            StoreError: It cannot be written, is another program's, was written by a newer openmic, or is an older
                database of PostgreSQL's.
        """
        url = normalize_url(url)
        check_writable(url)
        if not is_postgresql(url):
            sqlite_path(url).parent.mkdir(parents=True, exist_ok=True)
        engine = writing_engine(url)
        with _disposed_on_failure(engine, url):
            migrate.require_not_older(engine)
            migrate.upgrade(engine)
        return cls(engine, url, readonly=False)

    @classmethod
    def open_readonly(cls, url: str) -> Self:
        """Open an existing store for reading. Holds up no writer, and nothing can be written through it.

        Raises:
            StoreError: It does not exist, is no store, or its schema is not that of this openmic.
        """
        url = normalize_url(url)
        if not is_postgresql(url) and not (path := sqlite_path(url)).is_file():
            raise StoreError(f"no store at {str(path)!r}: run `openmic run` first, or name one with --store")
        engine = reading_engine(url)
        with _disposed_on_failure(engine, url):
            migrate.require_head(engine)
        return cls(engine, url, readonly=True)

    def sole_writer(self, run_id: str) -> AbstractContextManager[None]:
        """Hold a run for this process while it is carried out, so that no other machine takes it up.

        Raises:
            ConfigError: On entering: another process holds it.
        """
        return sole_writer(self._engine, run_id)

    def close(self) -> None:
        """Close all connections; closing twice does no harm."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, *rows: SQLModel) -> None:
        """Add rows, all or none. They may be of several tables: rows that others refer to are inserted first.

        The rows given are not tied to the store; changing them afterwards changes nothing in it.

        Raises:
            StoreError: A row is malformed, exists already, breaks a constraint or refers to a row that is missing.
        """
        self._insert(rows, insert)

    def add_new(self, *rows: SQLModel) -> int:
        """Like `add`, but rows whose primary key exists are left as they are; returns how many were new.

        Raises:
            StoreError: As for `add`, save that a primary key may exist.
        """
        dialect = self.dialect
        return self._insert(rows, lambda table: insert_unless_present(table, dialect))

    def _insert(self, rows: Sequence[SQLModel], statement: Callable[[Table], Insert]) -> int:
        """Insert rows, those that others refer to first; returns how many were."""
        new, tables = 0, sorted(values_by_table(rows), key=lambda item: _PLACES[item[0]])
        with self._transaction(f"adding {named(rows)}") as connection:
            for table, values in tables:
                done = connection.execute(statement(table), values, execution_options={"preserve_rowcount": True})
                new += done.rowcount
        return new

    def update(self, table: type[SQLModel], key: Any, **values: Any) -> None:
        """Set some columns of a run, dialogue, adapter, training or evaluation; a JSON column is replaced as a whole.

        Raises:
            TypeError: Rows of this table never change, it has no such column, or the column is its primary key.
            NotFoundError: There is no such row.
            StoreError: The row would become malformed or break a constraint.
        """
        if table not in _MUTABLE:
            raise TypeError(f"rows of {table.__name__} never change once they are added; add another instead")
        if fixed := [name for name in values if column_of(table, name).primary_key]:
            raise TypeError(f"{fixed[0]!r} is what identifies a row of {table.__name__}, and never changes")
        if not values:
            return
        target = table_of(table)
        keys = key if isinstance(key, tuple) else (key,)
        this = and_(*(column == part for column, part in zip(target.primary_key.columns, keys, strict=True)))
        with self._transaction(f"updating {table.__name__} {key!r}") as connection:
            present = connection.execute(select(target).where(this).with_for_update()).mappings().one_or_none()
            if present is None:
                raise NotFoundError(f"there is no {table.__name__} {key!r} in the store {self.url!r}")
            after = checked(table, {**present, **values})
            connection.execute(update(target).where(this).values({name: after[name] for name in values}))

    def save_reply(self, run_id: str, request: LLMRequest, reply: LLMReply, *, reused_from: str | None = None) -> None:
        """Keep what a large model answered. The first reply to a request stays; saving it again changes nothing.

        Args:
            run_id: Whose reply it is.
            request: What was asked.
            reply: The answer.
            reused_from: The run that had asked for it, where it was another.

        Raises:
            StoreError: There is no such run, or the store cannot be written.
        """
        asked = {
            "sampling": request.sampling.model_dump(),
            "seed": request.seed,
            "member": request.member,
            "ordinal": request.ordinal,
            "top_logprobs": request.top_logprobs,
            "json_schema": request.json_schema,
            "score_prompt": request.score_prompt,
        }
        # A reply that was paid for is kept whatever numbers it holds.
        answered = finite(reply.model_dump())
        prompt = PromptRow.of(request.messages)
        call = LLMCall(
            run_id=run_id,
            key=request.key,
            role=request.role,
            member=request.member,
            model=request.model,
            prompt_hash=prompt.hash,
            input_tokens=reply.usage.input,
            cached_tokens=reply.usage.cached,
            output_tokens=reply.usage.output,
            reasoning_tokens=reply.usage.reasoning,
            estimated=int(reply.usage.estimated > 0),
            latency_ms=answered["latency_ms"],
            request=asked,
            reply=answered,
            reused_from=reused_from,
        )
        self.add_new(prompt, call)

    @property
    def engine(self) -> Engine:
        """The engine, for what `add` and `update` cannot do; hold `writing_alone` when writing through it."""
        return self._engine

    @contextmanager
    def writing_alone(self) -> Iterator[None]:
        """Keep this process's other threads from writing.

        Raises:
            StoreError: The store was opened for reading only.
        """
        if self._readonly:
            raise StoreError(f"the store {self.url!r} was opened for reading only")
        with self._lock:
            yield

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        try:
            with self.writing_alone(), writing(self._engine) as connection:
                yield connection
        except (StatementError, TypeError, ValueError) as error:  # the last two: no JSON, or no text (half an emoji)
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise StoreError(lost(self.url, doing, error)) from error
            why = error.orig if isinstance(error, StatementError) else error
            raise StoreError(f"the store {self.url!r} refused {doing}: {why}") from error


@contextmanager
def _disposed_on_failure(engine: Engine, url: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        engine.dispose()
        raise StoreError(f"the store {shown_url(url)!r} cannot be opened: {reason(error)}") from error
    except BaseException:
        engine.dispose()
        raise
