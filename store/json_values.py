"""How JSON columns are written, so that one database takes what the other takes. Reading them is plain JSON."""

import json
from typing import Any

strict_json = json.JSONEncoder(allow_nan=False).encode
"""PostgreSQL takes no NaN or Infinity in JSON, so neither does SQLite."""


def postgresql_json(value: Any) -> str:
    """JSON that PostgreSQL can look into: a NUL or half a surrogate pair becomes `?`.

    It would take either, escaped, and then fail every query that reads any part of the value.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    if r"\u0000" in text:
        text = json.dumps(_without_nul(value), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "?")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value
