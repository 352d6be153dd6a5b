"""Finding turns and adapters by the names people give them."""

import re

from sqlalchemy import and_, or_, select
from sqlmodel import col

from ...core.errors import NotFoundError
from ..conversations import ConversationReader
from ..tables.transcript import Turn

_ADAPTER = re.compile(r"(?:(?P<run>[^:#]+):)?v(?P<version>\d+)", re.IGNORECASE)
_CANDIDATES = 8
"""How many ids an error lists."""
_LAST = "z" * 64
"""Sorts behind all that an id is made of, in any collation."""


def resolve_adapter(reader: ConversationReader, name: str) -> tuple[str, int] | None:
    """Run id and version that `v3` (of the latest run) or `RUN:v3` names; None for any other name.

    Raises:
        NotFoundError: There is no such run.
    """
    found = _ADAPTER.fullmatch(name)
    if found is None:
        return None
    return reader.resolve_run(found["run"] or "latest").id, int(found["version"])


def resolve_turn(reader: ConversationReader, name: str) -> Turn:
    """The turn that an id, the unique beginning of one, or `DIALOGUE#3`, its place as `transcripts show` has it, means.

    Raises:
        NotFoundError: No turn does, or more than one; the message lists candidates.
    """
    of_dialogue, place, number = name.rpartition("#")
    if place:
        dialogue = reader.resolve_dialogue(of_dialogue)
        found = reader.select(Turn, dialogue_id=dialogue.id, seq=int(number) - 1) if number.isdecimal() else []
        if not found:
            turns = reader.count(Turn, dialogue_id=dialogue.id)
            raise NotFoundError(f"dialogue {dialogue.id} has no turn #{number}; it has {turns} of them, from #1")
        return found[0]
    identity = col(Turn.id)
    # Ranges, so that the index is used; ids are in capitals or have none.
    ranges = [identity.between(typed, typed + _LAST) for typed in dict.fromkeys((name, name.lower(), name.upper()))]
    begins = and_(or_(*ranges), identity.istartswith(name, autoescape=True))
    rows = reader.rows(select(Turn).where(begins).order_by(identity).limit(_CANDIDATES + 1)) if name else []
    turns_found = [row[0] for row in rows]
    if turns_found and (len(turns_found) == 1 or turns_found[0].id.lower() == name.lower()):
        return turns_found[0]
    if turns_found:
        listed = ", ".join(turn.id for turn in turns_found[:_CANDIDATES])
        raise NotFoundError(f"{name!r} is the beginning of several turns, give more of it: {listed}")
    raise NotFoundError(
        f"no turn goes by {name!r}; DIALOGUE#3 is the turn that `openmic transcripts show DIALOGUE` numbers 3"
    )
