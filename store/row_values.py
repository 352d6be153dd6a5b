"""What a row has to be before it is written. A SQLModel class with a table takes anything, so it is checked here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm.attributes import instance_state
from sqlmodel import SQLModel

from ..core.errors import StoreFaultError
from .schema import table_of, validated, validated_change


def values_by_model(rows: Iterable[SQLModel]) -> dict[type[SQLModel], list[dict[str, Any]]]:
    """The checked values of rows by their classes; within a class in the order given.

    Raises:
        StoreFaultError: A row is malformed.
    """
    values: dict[type[SQLModel], list[dict[str, Any]]] = {}
    for row in rows:
        values.setdefault(type(row), []).append(_values(row))
    return values


def _values(row: SQLModel) -> dict[str, Any]:
    # Reading a row's attributes would turn a missing value into None.
    model, held = type(row), vars(row)
    if not instance_state(row).modified:  # it was checked when it was made, or comes from a store
        try:
            return {name: held[name] for name in model.model_fields}
        except KeyError:
            pass
    return checked(model, held)


def checked(model: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a whole row, defaults filled in, each of its column's type.

    Raises:
        StoreFaultError: The row is malformed.
    """
    try:
        return validated(model, values)
    except ValidationError as error:
        raise malformed(model, values, error) from error


def changed(model: type[SQLModel], key: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The checked values of some columns of the row with this key.

    Raises:
        StoreFaultError: A value is of another type than its column.
    """
    try:
        return validated_change(model, values)
    except ValidationError as error:
        raise malformed(model, key, error) from error


def malformed(model: type[SQLModel], values: Mapping[str, Any], error: ValidationError) -> StoreFaultError:
    """What is said of a row that cannot be stored: which it is, and each field that is at fault."""
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return StoreFaultError(f"{_name_of(model, values)} cannot be stored: {faults}")


def named(values: Mapping[type[SQLModel], Sequence[Mapping[str, Any]]]) -> str:
    """What to call rows in an error."""
    names = [_name_of(model, row) for model, rows in values.items() for row in rows[:4]]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


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
