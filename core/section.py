"""What every part of the configuration has in common."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

_IN_A_HOME = re.compile(r"~[\w.-]*/")


def from_home(path: str | Path) -> str:
    """A path with `~` or `~NAME` at its beginning replaced by that person's folder; anything else as it is."""
    # Path.expanduser would take the slashes out of an address, and raises where there is nobody of that name.
    return os.path.expanduser(str(path))  # noqa: PTH111 - see above


def unwritable(folder: Path) -> str | None:
    """Why nothing can be written into a folder, which may not be there yet; None where something can."""
    folder = folder.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return f"{str(folder)!r} is not a folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no permission to write in {str(folder)!r}"


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, and nothing changes once it is read.

    A path may begin with `~` wherever one may stand, also among the arguments of one's own objects.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _texts_are_as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError(f"yes, no, true and false are no values for this key{_which_are(cls, info.field_name)}")
        if value == "~" and cls.model_fields[info.field_name].annotation is Path:
            return from_home(value)
        return _as_meant(value)


def _which_are(section: type[BaseModel], name: str) -> str:
    """The words that a key takes, where there are some."""
    words: list[str] = []
    left = [section.model_fields[name].annotation]
    while left:
        annotation = left.pop()
        members = get_args(annotation)
        if get_origin(annotation) is Literal:
            words += [str(word) for word in members]
        else:
            left += members
    return f", but {' or '.join(words)}" if words else ""


def _as_meant(value: Any) -> Any:
    """Texts with a `~` before the first slash replaced, at every depth; one with a NUL is refused."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("there is a NUL character in it, which neither files nor databases can have; remove it")
        if not _IN_A_HOME.match(value):
            return value
        found = from_home(value)
        if found == value:
            raise ValueError(f"nobody here has the home folder {value.partition('/')[0]!r}; give the whole path")
        return found
    if isinstance(value, Path):
        return Path(_as_meant(str(value)))
    if isinstance(value, Mapping):
        return {key: _as_meant(inner) for key, inner in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_as_meant(inner) for inner in value)
    return value
