"""What all tables share: one metadata with named constraints, and the column types SQLModel does not pick by itself.

Not for tables: those are in `tables` (what was said) and `lineage` (what was learned from it).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from sqlalchemy import Column, Enum, Index, MetaData, Table, inspect, text
from sqlmodel import SQLModel


class TableModel(SQLModel):
    """Base of every table. Its metadata holds openmic's tables alone, whatever else uses SQLModel in the process.

    Constraints are named by one convention, since a constraint without a name cannot be migrated.

    A row is looked at when it is made, and not again when it is stored unless it was changed; one that is malformed can
    be made and not stored.
    """

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def __init__(self, **values: Any) -> None:
        try:
            # As SQLAlchemy puts a row together that it has read: setting attributes takes twenty times as long.
            vars(self).update(validated(type(self), values))
        except ValidationError:
            super().__init__(**values)


def validated(model: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a whole row, defaults filled in, each of its field's type. What is no field is passed over.

    Raises:
        ValidationError: Some value is missing or of another type.
    """
    row: BaseModel = _twin(model).__pydantic_validator__.validate_python(values)
    return vars(row)


@cache
def _twin(model: type[SQLModel]) -> type[BaseModel]:
    """The same fields without a table: a SQLModel class with one takes anything."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    return create_model(model.__name__, __config__=ConfigDict(protected_namespaces=()), **fields)


def validated_change(model: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Some values of a row, each of its field's type.

    Raises:
        ValidationError: Some value is of another type.
    """
    twin = _twin(model)
    one = twin.model_construct()
    for name, value in values.items():
        twin.__pydantic_validator__.validate_assignment(one, name, value)
    return {name: getattr(one, name) for name in values}


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def member_of(enumeration: type[StrEnum]) -> Any:
    """A text column that holds a member's value (SQLAlchemy would store its name) and reads back as the member."""
    return Enum(
        enumeration,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=False,
        length=16,
    )


def index_where_set(table: str, column: str) -> Index:
    """An index over a column that is mostly null, of the rows in which it is not."""
    there = text(f"{column} IS NOT NULL")
    return Index(f"ix_{table}_{column}", column, sqlite_where=there, postgresql_where=there)


@cache
def table_of(model: type[SQLModel]) -> Table:
    """The table behind a class of rows."""
    table = inspect(model).local_table
    assert isinstance(table, Table)
    return table


def column_of(model: type[SQLModel], name: str) -> Column[Any]:
    """A column by its name.

    Raises:
        TypeError: The table has no such column.
    """
    columns = table_of(model).columns
    if name not in columns:
        raise TypeError(f"{model.__name__} has no column {name!r}; it has {', '.join(columns.keys())}")
    return columns[name]
