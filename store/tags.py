"""Tags: words that people put on dialogues to find them again.

Annotations never change, so a tag is taken off by a further annotation; a dialogue has those tags that were put on it
after they were last taken off.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ..core.ids import new_id
from .reading import Reader
from .tables.annotation import TAG, Annotation, AuthorKind
from .tables.transcript import Dialogue

UNTAG = "untag"
"""The name of the annotation that takes a tag off; `label` is the tag."""


def has_tag(tag: str) -> ColumnElement[bool]:
    """That a `Dialogue` of a SELECT has a tag."""
    put, taken = aliased(Annotation), aliased(Annotation)
    taken_off = select(col(taken.id)).where(
        col(taken.dialogue_id) == col(put.dialogue_id),
        col(taken.name) == UNTAG,
        col(taken.label) == tag,
        col(taken.created_at) >= col(put.created_at),
    )
    found = select(col(put.dialogue_id)).where(
        col(put.run_id) == col(Dialogue.run_id),
        col(put.dialogue_id) == col(Dialogue.id),
        col(put.name) == TAG,
        col(put.label) == tag,
        ~taken_off.correlate(put).exists(),
    )
    return found.correlate(Dialogue).exists()


def tags_of(reader: Reader, dialogue_ids: Sequence[str]) -> dict[str, list[str]]:
    """The tags of each dialogue that has any, by the dialogue's id, in alphabetical order."""
    changes = reader.select(Annotation, dialogue_id=dialogue_ids, name=[TAG, UNTAG], order_by="created_at")
    found: dict[str, set[str]] = {}
    for change in changes:
        tags = found.setdefault(change.dialogue_id, set())
        (tags.add if change.name == TAG else tags.discard)(change.label or "")
    return {identity: sorted(tags) for identity, tags in found.items() if tags}


def tag_changes(
    reader: Reader,
    dialogue: Dialogue,
    tags: Iterable[str],
    *,
    author: str,
    author_kind: AuthorKind = "human",
    remove: bool = False,
) -> list[Annotation]:
    """Annotations to add so that a dialogue has these tags, or none of them; none where it does already."""
    present = set(tags_of(reader, [dialogue.id]).get(dialogue.id, []))
    wanted = [tag for tag in dict.fromkeys(tags) if (tag in present) is remove]
    return [
        Annotation(
            id=new_id(),
            run_id=dialogue.run_id,
            dialogue_id=dialogue.id,
            name=UNTAG if remove else TAG,
            label=tag,
            author=author,
            author_kind=author_kind,
        )
        for tag in wanted
    ]
