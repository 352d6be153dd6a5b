"""The store: opening it, and writing to it. Reading is in `reading` and `conversations`.

One process writes, the driver; others open the store read-only. Every write is a transaction of its own, committed
when the call returns, and may come from any thread.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import SQLModel

from ..core.errors import StoreBusyError, StoreError, StoreFaultError, StoreFullError, may_not_write
from ..core.files.private import private_file, private_folder
from ..core.records import LLMReply, LLMRequest
from .admin import migrate
from .conversations import ConversationReader
from .dialects.engine import (
    check_writable,
    file_of,
    reading_engine,
    sole_writer,
    writing,
    writing_engine,
)
from .dialects.holding import Hold
from .dialects.location import is_postgresql, normalize_url, shown_url, sqlite_path
from .dialects.postgresql import reason
from .dialects.sqlite import empty_log
from .faults import how_to_open, no_room, reserve, store_fault
from .reading import PAUSE_S
from .writer import Outcome, Writer
from .writes import Write, adding, adding_new, saving_reply, together, updating

HandOn = Callable[[Write], "asyncio.Future[None]"]
"""Hands a write to another process; the future is done once it is committed there."""
_WAIT_MS = 1_000
"""How long a write is deaf to everything else at a time while it waits for another process that is writing."""
PATIENCE_S = 15.0
"""How long a write is tried again in all, where nobody says for how long."""
RESERVE_BYTES = 8 * 1024 * 1024
"""Room for some hundred replies with all that an index needs for them."""


class Store(ConversationReader):
    """A transcript store. Use `open` or `open_readonly`; close it, or use it as a context manager."""

    def __init__(self, engine: Engine, address: str, *, readonly: bool) -> None:
        super().__init__(engine, shown_url(address))
        self.address = address
        """The store's normalized address with its password where it has one: to connect with, never to be shown."""
        self.patience_s = 0.0 if readonly else PATIENCE_S
        """How long a write waits for another process that is writing, and either for a server that is gone."""
        self.trouble = ""
        """What writes are waiting for; empty where all is well."""
        self._readonly = readonly
        self._lock = Lock()
        self._reserve: Path | None = None
        self._full: StoreFullError | None = None
        self._holds: list[Hold] = []
        self._hand_on: HandOn | None = None

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
            private_folder(sqlite_path(url).parent)
            private_file(sqlite_path(url))  # what SQLite makes beside it has the same permissions
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

    @classmethod
    def open_handing_on(cls, url: str, hand_on: HandOn) -> Self:
        """Open an existing store that is read here, and whose writes are handed to the process that may write.

        `add` and `update` are refused; `submit` and `keep` do what `hand_on` does.

        Raises:
            StoreError: As for `open_readonly`.
        """
        store = cls.open_readonly(url)
        store._hand_on = hand_on
        return store

    @contextmanager
    def sole_writer(self, *held: str) -> Iterator[None]:
        """Hold something for this process while it is worked on, so that no other machine takes it up.

        Where one did while the server was gone, nothing more is written within.

        Args:
            held: Runs, each as `run ID`, or a seed of an experiment, as `experiment 'NAME' with seed 1`.

        Raises:
            ConfigError: On entering: another process holds some of it.
        """
        with sole_writer(self._engine, held) as hold:
            if hold is None:
                yield
                return
            self._holds.append(hold)
            try:
                yield
            finally:
                self._holds.remove(hold)

    def close(self) -> None:
        """Close all connections; closing twice does no harm."""
        self.patience_s = 0.0
        if "_writer" in vars(self):
            self._writer.close()
        self._engine.dispose()

    def submit(self, write: Write) -> "asyncio.Future[None]":
        """Hand a write to the thread that writes; the future is done once it is committed.

        It raises what prevented that.

        What is handed in while that thread is busy goes into one transaction, in the order it came in. The event loop
        goes on while another process keeps the store locked, or a server is being started again.
        """
        if self._hand_on is None:
            return self._writer.submit(write)
        future = self._hand_on(write)
        future.add_done_callback(self._note_full)
        return future

    async def keep(self, write: Write) -> None:
        """Hand a write in, and wait until it is committed.

        Raises:
            StoreError: It was not written.
        """
        await self.submit(write)

    def _note_full(self, future: "asyncio.Future[None]") -> None:
        """Know of a full disk from the refusal of what was handed on."""
        if not future.cancelled() and isinstance(error := future.exception(), StoreFullError):
            self._full = error

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._carry_out)

    @contextmanager
    def room_for_last_words(self, folder: Path) -> Iterator[None]:
        """Keep some room on the disk for the time of the block. It is for replies on their way when it is full.

        From then on nothing is stored but replies, and how things ended; everything else raises `StoreFullError`.

        Args:
            folder: Where to keep it. Of use where the store's file is on the same disk.

        Raises:
            StoreFullError: There is no such room.
            OSError: The folder may not be written.
        """
        if self._folder is None or self._folder.stat().st_dev != folder.stat().st_dev:
            yield
            return
        self._reserve = folder / "reserve"
        try:
            reserve(self._reserve, RESERVE_BYTES)
        except OSError as error:
            self._reserve = None
            if may_not_write(error):
                raise
            raise no_room(self.url) from error
        try:
            yield
        finally:
            self._give_room_up()

    def require_room(self) -> None:
        """Make sure that the store still takes more than last words.

        Raises:
            StoreFullError: Its disk is full.
        """
        if self._full is not None:
            raise no_room(self.url) from self._full

    def empty_log(self) -> None:
        """Make the write-ahead log of a file small again, as far as nobody reads an older state."""
        if self.dialect == "sqlite":
            with suppress(DBAPIError), self.writing_alone(), self._engine.connect() as connection:
                empty_log(connection)

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
        self._write([adding(*rows)])

    def add_new(self, *rows: SQLModel) -> int:
        """Like `add`, but rows whose primary key exists are left as they are; returns how many were new.

        Raises:
            StoreError: As for `add`, save that a primary key may exist.
        """
        return self._write([adding_new(*rows)])

    def write(self, *writes: Write) -> int:
        """Do several writes in one transaction, in their order, all or none.

        Returns:
            How many rows were added or changed.

        Raises:
            StoreError: As for what each of them does.
        """
        return self._write(writes)

    def update(self, table: type[SQLModel], key: Any, **values: Any) -> None:
        """Set some columns of a run, dialogue, adapter, training or evaluation; a JSON column is replaced as a whole.

        Raises:
            TypeError: Rows of this table never change, it has no such column, or the column is its primary key.
            NotFoundError: There is no such row.
            StoreError: The row would become malformed or break a constraint.
        """
        if values:
            self._write([updating(table, key, **values)])

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
        self._write([saving_reply(run_id, request, reply, reused_from)])

    def require_held(self) -> None:
        """Make sure, at the server, that this process holds what it is to hold: for what nothing brings back.

        Raises:
            StoreFaultError: Another process took some of it up while the server was gone.
            StoreBusyError: The server is gone.
        """
        gone = [hold for hold in self._holds if not hold.look()]
        self._require_not_lost()
        if gone:
            raise StoreBusyError(f"the store {self.url!r} is gone, and holds nothing for this process")

    def _require_not_lost(self) -> None:
        if lost := next((hold.lost for hold in self._holds if hold.lost), None):
            raise StoreFaultError(
                f"another process took {lost} up while the store {self.url!r} was gone: it goes on there"
            )

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

    def _carry_out(self, writes: Sequence[Write]) -> list[Outcome]:
        """Do writes in one transaction; where one of them fails, each in one of its own."""
        if len(writes) > 1:
            try:
                self._write(writes)
            except StoreBusyError as error:
                return [error] * len(writes)  # the others would wait as long, one after another
            except Exception as error:
                del error
            else:
                return [None] * len(writes)
        outcomes: list[Outcome] = []
        for write in writes:
            try:
                self._write([write])
            except Exception as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def _write(self, writes: Sequence[Write]) -> int:
        """Do writes in one transaction; returns how many rows were added or changed.

        A transaction that a lock, or a server that is gone, kept from it is tried again.
        """
        began = time.monotonic()
        again, last_words = all(write.again for write in writes), all(write.last_words for write in writes)
        fewer = together(writes) if len(writes) > 1 else writes
        while True:
            self._require_not_lost()
            if self._full is not None and not last_words:
                raise no_room(self.url) from self._full
            try:
                with self._transaction(writes) as connection:
                    done = sum(write.put(connection) for write in fewer)
            except StoreFullError as error:
                if not self._give_room_up():
                    raise
                self._full = error
            except StoreBusyError as error:
                safe = again or self.dialect == "sqlite"  # a file is locked before anything is written
                if not safe or not self._may_wait(began):
                    raise
                self.trouble = f"waiting for the store: {error}"
                time.sleep(PAUSE_S)
            else:
                self.trouble = ""
                return done

    def _give_room_up(self) -> bool:
        """Let go of the room that was kept; whether there was any."""
        kept, self._reserve = self._reserve, None
        if kept is None or not kept.exists():
            return False
        kept.unlink()
        return True

    @contextmanager
    def _transaction(self, writes: Sequence[Write]) -> Iterator[Connection]:
        try:
            with self.writing_alone(), writing(self._engine, wait_ms=_WAIT_MS) as connection:
                yield connection
        except (StatementError, TypeError, ValueError) as error:  # the last two: no JSON, or no text (half an emoji)
            doing = writes[0].doing if len(writes) == 1 else f"writing {len(writes)} things at once"
            raise store_fault(self.url, doing, error, self._folder) from error


@contextmanager
def _disposed_on_failure(engine: Engine, url: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        engine.dispose()
        file = file_of(engine)
        fault = store_fault(shown_url(url), "opening it", error, None if file is None else file.parent)
        if isinstance(fault, StoreBusyError | StoreFullError):
            raise fault from error
        advice = "" if file is None else how_to_open(error, file)
        raise StoreError(f"the store {shown_url(url)!r} cannot be opened: {reason(error)}{advice}") from error
    except BaseException:
        engine.dispose()
        raise
