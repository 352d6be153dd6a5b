"""Writing many rows: one thread writes what others hand over, in large transactions, and makes them wait when behind.

Not for a run, whose rows have to be in the store when the call returns: `Store.add` is for that.
"""

from dataclasses import dataclass
from queue import Queue
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from sqlmodel import SQLModel

from ..core.errors import StoreError
from .inserting import Insertion, Parameters
from .store import Prepared, RowValues, Store, named, values_of


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that belong together, in the form the database takes."""

    tables: list[Prepared]
    name: str


class BulkWriter:
    """Adds groups of rows through one thread; close it, or use it as a context manager.

    The rows of one `add` are written together or not at all, and after those of earlier calls. What was handed over is
    in the store when `flush` or `close` returns. The first failure ends the writing: what came before it is kept, and
    every later call raises it. Calls may come from any thread.
    """

    def __init__(self, store: Store, *, batch: int = 20_000, batches_waiting: int = 3) -> None:
        """Begin.

        Args:
            store: Open for writing.
            batch: About how many rows a transaction holds; groups are not divided.
            batches_waiting: How many batches may wait to be written before `add` waits too.
        """
        self._store = store
        self._batch = batch
        self._queue: Queue[list[_Group] | Event | None] = Queue(batches_waiting)
        self._gathered: list[_Group] = []
        self._rows = 0
        self._failure: BaseException | None = None
        self._lock = Lock()
        self._thread = Thread(target=self._write_all, name="openmic-bulk-writer", daemon=True)
        self._thread.start()

    def add(self, *rows: SQLModel | RowValues) -> None:
        """Hand over rows that belong together, as rows or as a class and its values; may wait for the writer.

        Raises:
            StoreError: A row is malformed, or earlier ones could not be written.
        """
        values = [row if isinstance(row, tuple) else values_of(row) for row in rows]
        group = _Group(self._store.prepared(values), named(values))
        with self._lock:
            self._raise_failure()
            self._gathered.append(group)
            self._rows += len(rows)
            if self._rows >= self._batch:
                self._hand_over()

    def flush(self) -> None:
        """Wait until everything that was handed over is in the store.

        Raises:
            StoreError: Some of it could not be written.
        """
        written = Event()
        with self._lock:
            self._hand_over()
            self._queue.put(written)
        written.wait()
        self._raise_failure()

    def close(self) -> None:
        """Write what was handed over and end the thread; closing twice does no harm.

        Raises:
            StoreError: Some of it could not be written.
        """
        with self._lock:
            if self._thread.is_alive():
                self._hand_over()
                self._queue.put(None)
                self._thread.join()
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:  # else that is what went wrong first
                raise

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered, self._rows = [], 0

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Event):
                item.set()
            elif self._failure is None:  # else callers are only kept from waiting for ever
                try:
                    self._write(item)
                except BaseException as error:  # whatever it was, it is the callers' to know
                    self._failure = error

    def _write(self, groups: list[_Group]) -> None:
        merged: dict[Insertion, list[Parameters]] = {}
        for group in groups:
            for made, parameters in group.tables:
                merged.setdefault(made, []).extend(parameters)
        try:
            self._store.add_prepared(merged.items(), f"{len(groups)} groups of rows")
        except StoreError:
            # One by one, so that those before the faulty one are kept and the error names it.
            for group in groups:
                self._store.add_prepared(group.tables, group.name)
