"""The dialogues that an address asks for: the command line's filters and orders as query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from ..core.errors import ConfigError
from ..core.records import Agent, Split, Stage
from ..store.search.filters import DialogueFilter, DialogueOrder, VerdictFilter
from ..store.tables.transcript import DialogueStatus

STATUSES: Final[tuple[DialogueStatus, ...]] = get_args(DialogueStatus)
VERDICTS: Final[tuple[VerdictFilter, ...]] = get_args(VerdictFilter)
ORDERS: Final[dict[DialogueOrder, str]] = {
    "started": "oldest first",
    "-started": "newest first",
    "input": "by input",
    "-input": "by input, backwards",
    "turns": "shortest first",
    "-turns": "longest first",
}
_NUMBERS: Final = {"round", "adapter"}
_COLUMNS: Final = {"adapter": "adapter_version"}
"""Parameters that are called otherwise in a filter."""
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "stage": tuple(Stage),
    "split": tuple(Split),
    "status": STATUSES,
    "agent": tuple(Agent),
    "verdict": VERDICTS,
    "order": tuple(ORDERS),
}
NAMES: Final = (
    "stage",
    "split",
    "round",
    "status",
    "stop_reason",
    "agent",
    "adapter",
    "verdict",
    "tag",
    "text",
    "order",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for."""

    filter: DialogueFilter
    order: DialogueOrder
    query: Mapping[str, str]
    """The parameters it was asked with, none of them empty: what a link needs to ask for the same."""


def asked(query: Mapping[str, str]) -> Asked:
    """Read query parameters; those of other names are left alone.

    Raises:
        ConfigError: A value cannot be meant.
    """
    given = {name: query[name] for name in NAMES if query.get(name, "").strip()}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name != "order":
            values[_COLUMNS.get(name, name)] = _value(name, value)
    order = _value("order", given.get("order", "started"))
    return Asked(DialogueFilter(**values), order, given)


def _value(name: str, value: str) -> Any:
    if name in _NUMBERS:
        # The database's own numbers are 64 bits wide.
        if not value.isascii() or not value.isdecimal() or len(value) > 9:
            raise ConfigError(f"{name}={value!r} is no number such as 2")
        return int(value)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigError(f"{name}={value!r} is none of {', '.join(_CHOICES[name])}")
    if name == "stage":
        return Stage(value)
    if name == "split":
        return Split(value)
    return Agent(value) if name == "agent" else value
