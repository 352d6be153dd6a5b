"""Identifiers: sortable ones for things that happen, content hashes for things that are."""

import hashlib
import json
import re
from typing import Any

from ulid import ULID

_DERIVED = re.compile("[0-9a-f]{32}")


def new_id() -> str:
    """A new ULID: 26 characters, unique, and sorting by the time it was made."""
    return str(ULID())


def content_hash(value: Any) -> str:
    """SHA-256, in hex, of a string or of anything that JSON can hold; equal values have equal hashes."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()  # replies may hold half a character


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**31) that depends on every part and on nothing else, the same on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def derive_id(within: str, *parts: str | int) -> str:
    """A stable 32-character id for what is identified by its parts, so that doing a thing again finds it done.

    Ids within the same thing begin alike: with the first two characters of a hash of it, or, where it has such an id
    itself, with the first twelve of that. So the rows of a run lie near each other in a database's indexes, those of a
    dialogue side by side; a writer of many would else have to touch a page for each.
    """
    shared = within[:12] if _DERIVED.fullmatch(within) else content_hash(within)[:2]
    own = content_hash("\x1f".join(str(part) for part in (within, *parts)))
    return (shared + own)[:32]
