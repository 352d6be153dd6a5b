"""What a run's handle answers with: tables of rows, and explanations that print as trees."""

from collections.abc import Sequence
from enum import Enum
from io import StringIO
from types import NoneType
from typing import Any, get_args, get_type_hints

from .core.errors import ConfigError
from .store.search.filters import DialogueFilter


class Table(Sequence[dict[str, Any]]):
    """Rows of one kind, each a dictionary; `to_pandas` and `to_dataset` make other tables of them."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = list(rows)

    def __getitem__(self, place: Any) -> Any:
        return Table(self._rows[place]) if isinstance(place, slice) else self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def _repr_html_(self) -> str | None:
        """The table as notebooks show it; None where pandas is not installed."""
        try:
            return str(self.to_pandas()._repr_html_())
        except ConfigError:
            return None

    def __repr__(self) -> str:
        columns = ", ".join(self._rows[0]) if self._rows else "no columns"
        return f"<Table of {len(self)} rows: {columns}>"

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped]  # it ships no types
        except ImportError:
            raise ConfigError("to_pandas needs pandas: pip install 'openmic[datasets]'") from None
        return pandas.DataFrame(self._rows)

    def to_dataset(self) -> Any:
        """A `datasets.Dataset`.

        Raises:
            ConfigError: datasets is not installed.
        """
        try:
            from datasets import Dataset
        except ImportError:
            raise ConfigError("to_dataset needs datasets: pip install 'openmic[datasets]'") from None
        return Dataset.from_list(self._rows)


class Explanation(dict[str, Any]):
    """Where something comes from and what became of it. As JSON has it; printed, it is the tree of the command."""

    def __init__(self, found: dict[str, Any], tree: Any) -> None:
        super().__init__(found)
        self._tree = tree

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), width=160, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(self._tree)
        return captured.get().rstrip()


def dialogue_filter(wanted: dict[str, Any]) -> DialogueFilter:
    """Which dialogues are meant; a ConfigError where a field, or its value, is none."""
    known = get_type_hints(DialogueFilter)
    for name, value in wanted.items():
        if name not in known:
            raise ConfigError(f"dialogues: there is no field {name!r}; there are {', '.join(known)}")
        if value is None:
            continue
        [kind, *_] = [one for one in get_args(known[name]) if one is not NoneType]
        valid = list(get_args(kind)) or (list(kind) if issubclass(kind, Enum) else [])
        if valid and value not in [str(one) for one in valid]:
            raise ConfigError(f"dialogues: there is no {name} {value!r:.40}; there are {', '.join(map(str, valid))}")
        if not valid and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError(f"dialogues: {name} {value!r:.40} is a {type(value).__name__}, and not a {kind.__name__}")
    return DialogueFilter(**wanted)
