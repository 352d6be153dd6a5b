"""Hints for keys that a file may not hold: the valid key that was most likely meant.

For any pydantic model that forbids extra keys. It knows nothing of files, and nothing of values.
"""

import difflib
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

Key = tuple[str, ...]
"""A dotted key as its parts, an item of a list by its number."""


def nearest_key(model: type[BaseModel], key: Key) -> str:
    """What to say after "unknown key K" about a key that `model` does not have.

    Names the key that is spelled most alike in the same section, else one of that name in another section, else all
    keys of the section. Empty where the key does exist.
    """
    valid = _fields_at(model, key[:-1])
    if key[-1] in valid:
        return ""
    close = difflib.get_close_matches(key[-1], valid, n=1, cutoff=0.5)
    section = ".".join(key[:-1])
    if close:
        return f"; did you mean {'.'.join((*key[:-1], close[0]))!r}?"
    elsewhere = [path for path in _all_keys(model) if path[-1] == key[-1]]
    if elsewhere:
        return f"; did you mean {'.'.join(elsewhere[0])!r}?"
    return f"; valid {'keys' if not section else f'keys of {section}'} are {', '.join(valid)}"


def nearest_variable(model: type[BaseModel], name: str) -> str | None:
    """The variable that was most likely meant by one that sets no key, both without their prefix.

    That is one with `_` for `__`, or a key of no section that is spelled almost alike; else None.
    """
    nested = {"_".join(key): key for key in _all_keys(model)}
    key = nested.get(name.lower())
    if key is None:
        close = difflib.get_close_matches(name.lower(), model.model_fields, n=1, cutoff=0.8)
        key = (close[0],) if close else None
    return None if key is None else "__".join(key).upper()


def section_at(root: type[BaseModel], key: Key) -> type[BaseModel] | None:
    """The section that stands at a key of a model; None where a value does, or a list of sections."""
    model: type[BaseModel] | None = root
    for part in key:
        field = model.model_fields.get(part) if model else None
        members = [] if field is None else [field.annotation, *_members(field.annotation)]
        model = next((one for one in members if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return model


def _members(annotation: Any) -> tuple[Any, ...]:
    """What a union is made of; nothing for a list of something."""
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else ()


def _fields_at(root: type[BaseModel], key: Key) -> list[str]:
    model: type[BaseModel] | None = root
    for part in key:
        if part.isdigit():  # the items of a list have the section that the list is declared with
            continue
        field = model.model_fields.get(part) if model else None
        model = _section_of(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _all_keys(model: type[BaseModel], prefix: Key = ()) -> list[Key]:
    keys = []
    for name, field in model.model_fields.items():
        section = _section_of(field.annotation)
        keys += _all_keys(section, (*prefix, name)) if section else [(*prefix, name)]
    return keys


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
