"""Reading word lists, the YAML files beside the modules that use them.

Every scalar is text: `on`, `no` and `12` are words here. A list keeps its order, which chance draws from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..core.text import fold

# The loader in C takes a tenth of the time, but is not in every build of PyYAML.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_words(path: Path) -> dict[str, Any]:
    """The mapping of a file, in its order: texts, lists and mappings of them."""
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - text alone
    return content


def as_lists(content: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Named lists: of a YAML list one entry an item, of a text one entry a word."""
    return {name: tuple(value.split() if isinstance(value, str) else value) for name, value in content.items()}


def as_wordings(content: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Phrases with the wordings that may stand for each: a text is one wording, perhaps an empty one."""
    return {phrase: (value,) if isinstance(value, str) else tuple(value) for phrase, value in content.items()}


def fold_all(phrases: Sequence[str]) -> tuple[str, ...]:
    """Each phrase folded, for lists that folded texts are searched for."""
    return tuple(fold(phrase) for phrase in phrases)
