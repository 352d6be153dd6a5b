"""What a row has to be before it is written. A SQLModel class with a table takes anything, so it is checked here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from sqlalchemy import Table
from sqlmodel import SQLModel

from ..core.errors import StoreFaultError
from .schema import table_of


def checked(model: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a whole row, defaults filled in, each of its field's type. What is no field is passed over.

    Raises:
        StoreFaultError: Some value is missing or of another type; the message names the row and each such field.
    """
    try:
        return vars(_twin(model).model_validate(values))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise StoreFaultError(f"{_name_of(model, values)} cannot be stored: {faults}") from error


@cache
def _twin(model: type[SQLModel]) -> type[BaseModel]:
    """The same fields without a table: setting an attribute of a row takes SQLAlchemy longer than writing it does."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    return create_model(model.__name__, __config__=ConfigDict(protected_namespaces=()), **fields)


def values_by_table(rows: Iterable[SQLModel]) -> list[tuple[Table, list[dict[str, Any]]]]:
    """The checked values of rows by their tables; within a table in the order given.

    Raises:
        StoreFaultError: A row is malformed.
    """
    values: dict[type[SQLModel], list[dict[str, Any]]] = {}
    for row in rows:
        # Reading a row's attributes would turn a missing value into None.
        values.setdefault(type(row), []).append(checked(type(row), vars(row)))
    return [(table_of(model), found) for model, found in values.items()]


def named(rows: Sequence[SQLModel]) -> str:
    """What to call rows in an error."""
    return ", ".join(_name_of(type(row), vars(row)) for row in rows[:3]) + (", …" if len(rows) > 3 else "")


def _name_of(model: type[SQLModel], values: Mapping[str, Any]) -> str:
    """What to call a row in an error: its class and its primary key."""
    key = ", ".join(repr(values.get(column.name)) for column in table_of(model).primary_key.columns)
    return f"{model.__name__.removesuffix('Row')} {key}"


def finite(value: Any) -> Any:
    """JSON data with what JSON has no numbers for, the infinities and NaN, as strings that `float` reads back."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
