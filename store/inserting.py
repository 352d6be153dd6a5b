"""INSERTs of whole rows that are put together once, and rows brought into the form the database's driver takes.

SQLAlchemy would do both again for every call, in the thread that writes; here any thread can bring rows into form.
Python's sqlite3 gives the interpreter's lock away for every statement, and a thread that computes gives it back late:
so SQLite is given many rows in one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

Parameters = tuple[Any, ...] | dict[str, Any]
_VALUES_AT_ONCE = 10_000
"""Placeholders of one statement; SQLite takes 32,766."""


class Insertion:
    """An INSERT into a table in one dialect of SQL."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self.table = table
        names = [column.name for column in table.columns]
        compiled = insert(table).compile(dialect=dialect, column_keys=names)
        self.sql = str(compiled)
        """With placeholders in the driver's own style."""
        self._converters: list[tuple[str, Callable[[Any], Any] | None]] = [
            (column.name, column.type.dialect_impl(dialect).bind_processor(dialect)) for column in table.columns
        ]
        self._positional = bool(compiled.positional)
        self._rows_at_once = _VALUES_AT_ONCE // len(names) if dialect.name == "sqlite" else 1
        row = f"({', '.join('?' * len(names))})"
        self._sql_of_many = f"{self.sql}{f', {row}' * (self._rows_at_once - 1)}"

    def parameters(self, values: Mapping[str, Any]) -> Parameters:
        """The values of a whole row as the driver takes them.

        Raises:
            TypeError: A value of a JSON column is not JSON.
            ValueError: The same.
        """
        if self._positional:
            return tuple(
                values[name] if convert is None else convert(values[name]) for name, convert in self._converters
            )
        return {name: values[name] if convert is None else convert(values[name]) for name, convert in self._converters}

    def execute(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Insert rows in the form that `parameters` gives."""
        many = len(rows) // self._rows_at_once * self._rows_at_once if self._rows_at_once > 1 else 0
        for start in range(0, many, self._rows_at_once):
            values = chain.from_iterable(rows[start : start + self._rows_at_once])
            connection.exec_driver_sql(self._sql_of_many, tuple(values))
        if len(rows) > many:
            connection.exec_driver_sql(self.sql, list(rows[many:]))


@cache
def insertion(table: Table, dialect: Dialect) -> Insertion:
    """The INSERT of whole rows into a table."""
    return Insertion(table, dialect)
