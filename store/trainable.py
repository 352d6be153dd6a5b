"""Which preferences a run may still learn from: of similar lengths, not learned from yet, and not too stale.

The lag of a preference is the number of versions that came to serve after the one that wrote its texts, of two the
older one; versions that were rolled back were never promoted and do not count. The teacher's texts have none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Integer, case, func, null, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from .reading import Reader, chunks
from .tables.training import Adapter, TrainingItem
from .tables.transcript import Preference, Turn


def of_similar_length(bounds: tuple[float, float]) -> ColumnElement[bool]:
    """Whether a preference passes the length filter, `preferences.length_ratio`; in SQL.

    The filter is there for the critics' liking for long texts. What a gate decided it does not touch: loops are long.
    """
    return or_(col(Preference.length_ratio).between(*bounds), col(Preference.source) == "gate")


def untrained(run_id: str) -> ColumnElement[bool]:
    """Whether a run has not learned from a preference yet; in SQL."""
    used = select(col(TrainingItem.preference_id)).where(
        col(TrainingItem.run_id) == run_id, col(TrainingItem.preference_id).is_not(None)
    )
    return col(Preference.id).not_in(used)


def staleness(campaign: str, promoted_version: int | None = None) -> ColumnElement[int | None]:
    """The lag of a preference, in SQL; null where the student wrote neither text.

    Args:
        campaign: The campaign whose students wrote the texts.
        promoted_version: The version that is to learn from them, which is not behind itself, nor are later versions.
            None for the last one that was promoted.
    """
    writer = aliased(Turn)
    older = (
        select(func.min(col(writer.adapter_version)))
        .where(col(writer.id).in_([col(Preference.chosen_turn_id), col(Preference.rejected_turn_id)]))
        .correlate(Preference)
        .scalar_subquery()
    )
    until = [] if promoted_version is None else [col(Adapter.version) <= promoted_version]
    since = (
        select(func.count())
        .select_from(Adapter)
        .where(col(Adapter.run_id) == campaign, col(Adapter.status) == "promoted", col(Adapter.version) > older, *until)
        .correlate(Preference)
        .scalar_subquery()
    )
    return case((older.is_(None), null()), else_=since).cast(Integer)


def staleness_of(
    reader: Reader, campaign: str, preferences: Sequence[Preference], promoted_version: int
) -> dict[str, int]:
    """The lag of each preference that has a text of the student's, by its id; arguments as for `staleness`."""
    found: dict[str, int] = {}
    for ids in chunks([row.id for row in preferences]):
        statement = select(col(Preference.id), staleness(campaign, promoted_version)).where(col(Preference.id).in_(ids))
        found |= {identity: behind for identity, behind in reader.rows(statement) if behind is not None}
    return found


def promoted_versions(reader: Reader, run_id: str) -> list[int]:
    """Versions of a run that are or were promoted."""
    return [row.version for row in reader.select(Adapter, run_id=run_id, status="promoted")]


def lag(writer: int, promoted_version: int, promoted: Sequence[int]) -> int:
    """Number of promoted versions by which one is behind another."""
    return sum(writer < version <= promoted_version for version in promoted)


def histogram(stalenesses: Iterable[int]) -> dict[str, int]:
    """How many have each lag, fit for JSON."""
    return {str(lag): number for lag, number in sorted(Counter(stalenesses).items())}
