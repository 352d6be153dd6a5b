"""How far behind the promoted student the one was whose texts are learned from.

The lag of a preference is the number of versions that came to serve after the one that wrote its texts, of two the
older one; versions that were rolled back never served and do not count. The teacher's texts have none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlmodel import col

from ...store import Adapter, Preference, Store, Turn

_IN_CHUNK = 10_000
"""Values in one IN list; SQLite takes 32,766 in a statement."""


def staleness_of(
    store: Store, campaign: str, preferences: Sequence[Preference], promoted_version: int
) -> dict[str, int]:
    """The lag of each preference that has a text of the student's, by its id.

    Args:
        store: Where they are.
        campaign: The campaign whose students wrote the texts.
        preferences: Which.
        promoted_version: The version that is to learn from them. It is not behind itself, nor are later versions.
    """
    served = promoted_versions(store, campaign)
    turns = [turn for row in preferences for turn in (row.chosen_turn_id, row.rejected_turn_id)]
    writers = _writers(store, turns)
    found = {}
    for row in preferences:
        versions = [writers[turn] for turn in (row.chosen_turn_id, row.rejected_turn_id) if turn in writers]
        if versions:
            found[row.id] = lag(min(versions), promoted_version, served)
    return found


def promoted_versions(store: Store, run_id: str) -> list[int]:
    """The versions of a run that serve or have served."""
    return [row.version for row in store.select(Adapter, run_id=run_id, status="promoted")]


def lag(writer: int, promoted_version: int, served: Sequence[int]) -> int:
    """By how many of the versions that served one is behind another."""
    return sum(writer < version <= promoted_version for version in served)


def histogram(stalenesses: Iterable[int]) -> dict[str, int]:
    """How many have each lag, fit for JSON."""
    return {str(lag): number for lag, number in sorted(Counter(stalenesses).items())}


def _writers(store: Store, turns: Sequence[str]) -> dict[str, int]:
    """The adapter version behind each turn that is the student's."""
    identity, version = col(Turn.id), col(Turn.adapter_version)
    found: dict[str, int] = {}
    for start in range(0, len(turns), _IN_CHUNK):
        chunk = turns[start : start + _IN_CHUNK]
        rows = store.rows(select(identity, version).where(identity.in_(chunk), version.is_not(None)))
        found |= {turn: number for turn, number in rows if number is not None}
    return found
