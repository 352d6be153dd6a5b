"""A written critique: what works, what is missing, one suggestion.

Models asked for a JSON object wrap it, truncate it or break it. What a person could still read in the reply is read:
the library json_repair mends what is nearly JSON, lines with headings are taken for what those say, and anything else
is kept as plain text. This file never asks again; that is the critic's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import json_repair

from .endpoints.reading import read_text

CRITIQUE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("works", "missing", "suggestion")},
    "required": ["works", "missing", "suggestion"],
    "additionalProperties": False,
}
REMINDER = (
    'Your answer must be the JSON object alone, nothing before or after it: {"works": "…", "missing": "…", '
    '"suggestion": "…"}'
)
NO_ADVICE = "Try again, differently."
"""What a writer is told whose critic said nothing that could be read."""
MOST_CHARACTERS = 20_000
"""Of a reply, what is looked at. Mending takes time, and no critique is as long."""
MOST_PLAIN = 1_000
"""Characters of plain text that are kept as a suggestion."""

_KEYS = ("works", "missing", "suggestion")
_HEADING = re.compile(
    r"^\W*(?:\d+\W+)?(?:what\W+(?:is\b|s\b)?\W*|(?:one|a|my)\s+)?(?:concrete\s+)?(works|missing|suggestion)s?\b\W*?[:=]",
    re.IGNORECASE | re.MULTILINE,
)
_NAME = re.compile(r"[\"'“”]?\b(?:works|missing|suggestion)\b[\"'“”]?\s*[:=]", re.IGNORECASE)
_QUOTED_NAME = re.compile(r"[\"'“]suggestion[\"'”]\s*:", re.IGNORECASE)
_END_OF_VALUE = re.compile(r"[\"'”]?\s*,?\s*(?:[}\]]|```|\Z)|[\"'”]\s*,?\s*[\"'“]\w[\w ]*[\"'”]\s*:")
_JSON_LIKE = re.compile(r"```|[{}\[\]]|[\"']\s*:")
_DEBRIS = re.compile(r"```\w*|[{}\[\]\\]|(?<!\w)[\"'“”]|[\"'“”](?!\w)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufeff]+")


@dataclass(frozen=True, slots=True)
class Critique:
    """What the critic wrote, as far as it can be read; each part is one line and may be empty."""

    works: str
    missing: str
    suggestion: str
    parsed: bool
    """Whether the suggestion could be told from the rest; else the suggestion is the reply's plain text, or empty."""

    @property
    def worth(self) -> tuple[bool, bool, bool]:
        """Orders two replies to one question by how much they say."""
        return self.parsed, bool(self.suggestion), bool(self.missing or self.works)


def advice(works: str, missing: str, suggestion: str) -> str:
    """What the writer is told: the suggestion, or the next best thing that the critic said."""
    return suggestion or missing or works or NO_ADVICE


def parse_critique(text: str) -> Critique:
    """Read a critique. Never raises, and leaves nothing out that a person could read as the suggestion."""
    text = read_text(text).answer.strip()[:MOST_CHARACTERS]
    found = _from_json(text)
    if not found.get("suggestion") and not _QUOTED_NAME.search(text):
        found = _from_headings(text) or found
    works, missing, suggestion = (found.get(name, "") for name in _KEYS)
    if suggestion:
        return Critique(works, missing, suggestion, parsed=True)
    return Critique(works, missing, "" if found else _plain(text), parsed=False)


def _from_json(text: str) -> dict[str, str]:
    """Parts of a critique under their names in JSON, or in what can be mended to JSON."""
    parts: dict[str, str] = {}
    for value in _values(text):
        for record in _records(value):
            for key, content in record.items():
                name = _name(str(key))
                if name in _KEYS and not parts.get(name):
                    parts[name] = as_line(content)
        if parts.get("suggestion"):
            break
    whole = _whole(parts.get("suggestion", ""), text)
    return parts | {"suggestion": whole} if whole else parts


def _name(key: str) -> str:
    """The part that a key names, however it is written: `What works`, `what_is_missing`, `Suggestions`."""
    name = re.sub(r"^what(?:is|s(?=m))?", "", re.sub(r"[\W_]", "", key).casefold())
    return "suggestion" if name == "suggestions" else name


def _values(text: str) -> Iterator[Any]:
    """What the text is as JSON: as it stands, then mended."""
    within = re.search(r"\{.*\}", text, re.DOTALL)
    if within:
        with suppress(ValueError, RecursionError):
            yield json.loads(within.group())
    if "{" not in text:
        if not _QUOTED_NAME.search(text):
            return
        text = f"{{{text}}}"
    with suppress(Exception):  # whatever a library makes of rubbish, it is no reason to fail
        value = json_repair.loads(text)
        yield json_repair.loads(value) if isinstance(value, str) else value


def _records(value: Any) -> Iterator[dict[Any, Any]]:
    """Every object in a JSON value, the outer ones first."""
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _whole(suggestion: str, text: str) -> str:
    """The whole suggestion: mending JSON cuts a text at the first quote within it."""
    for name in _QUOTED_NAME.finditer(text):
        end = _END_OF_VALUE.search(text, name.end())
        written = _one_line(text[name.end() : end.start() if end else None])
        said = written.lstrip("\"'“ ")
        if written != said and said.startswith(suggestion) and re.search(r"\w", said[len(suggestion) :]):
            return said
    return suggestion


def _from_headings(text: str) -> dict[str, str]:
    """The parts of a reply in lines that begin with "Works:", "Missing:" and "Suggestion:"; empty without the last."""
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)] * bool(headings)
    parts = {
        heading.group(1).lower(): _one_line(text[heading.end() : end]).strip("*_,\"'{} ")
        for heading, end in zip(headings, ends, strict=True)
    }
    return parts if parts.get("suggestion") else {}


def as_line(value: Any) -> str:
    """What a JSON value says, as one line: the leaves of lists and objects one after the other."""
    said, waiting = list[str](), [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Mapping | list | tuple):
            waiting[:0] = item.values() if isinstance(item, Mapping) else item
        elif item is not None and not isinstance(item, bool):
            said.append(str(item))
    return _one_line(" ".join(said))


def _plain(text: str) -> str:
    """The words of a reply that is no critique, without the names and marks of broken JSON; empty without letters."""
    if _JSON_LIKE.search(text):
        text = _DEBRIS.sub(" ", _NAME.sub(" ", text))
    plain = _one_line(text)[:MOST_PLAIN].strip(" ,;:")
    return plain if re.search(r"[^\W\d_]", plain) else ""


def _one_line(text: str) -> str:
    """The text on one line, without control characters; halves of a surrogate pair are joined, or replaced."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"\s+", " ", _CONTROL.sub(" ", text)).strip()
