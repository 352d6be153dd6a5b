"""A written critique: what works, what is missing, one suggestion. Read from JSON where the model wrote JSON."""

import json
import re
from dataclasses import dataclass
from typing import Any

CRITIQUE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("works", "missing", "suggestion")},
    "required": ["works", "missing", "suggestion"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class CritiqueText:
    """What the critic wrote. When it could not be read as JSON, all of it is the suggestion."""

    works: str
    missing: str
    suggestion: str
    parsed: bool


def parse_critique(text: str) -> CritiqueText:
    """Read a critique, tolerating a code fence or prose around the JSON. Never raises."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        value = json.loads(found.group()) if found else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get("suggestion"), str):
        works, missing, suggestion = (str(value.get(name) or "").strip() for name in ("works", "missing", "suggestion"))
        return CritiqueText(works, missing, suggestion, parsed=True)
    return CritiqueText("", "", re.sub(r"\s+", " ", text).strip(), parsed=False)
