"""INSERTs of whole rows that are put together once, and rows brought into the form the database's driver takes.

SQLAlchemy would do both again for every call, in the thread that writes; here any thread can bring rows into form.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Table, insert

Parameters = tuple[Any, ...] | dict[str, Any]


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


@cache
def insertion(table: Table, dialect: Dialect) -> Insertion:
    """The INSERT of whole rows into a table."""
    return Insertion(table, dialect)
