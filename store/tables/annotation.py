"""The table of annotations: what people, models and programs say about the transcripts afterwards.

An annotation stands beside a dialogue, a turn or a verdict and never changes it, nor is it changed itself.
"""

from typing import Any, Literal

from pydantic import AwareDatetime
from sqlalchemy import JSON, Index, text
from sqlmodel import Field
from sqlmodel.sql.sqltypes import AutoString

from ..schema import TableModel, index_where_set, now

AuthorKind = Literal["human", "llm", "code"]

TAG = "tag"
"""Of a dialogue; `label` is the tag."""
PREFERENCE = "preference"
"""A person's blind comparison of a verdict's two texts; `label` is how the first one fared, or `skip`."""
CORRECTION = "correction"
"""Of a preference: what the person says in its place. `data["corrects"]` is the id of what it takes the place of."""


class Annotation(TableModel, table=True):
    """One label, score or remark."""

    __tablename__ = "annotation"
    __table_args__ = (
        # A rater compares two texts once, whatever is clicked twice.
        Index(
            "uq_annotation_preference",
            "verdict_id",
            "author",
            unique=True,
            sqlite_where=text("name = 'preference'"),
            postgresql_where=text("name = 'preference'"),
        ),
        index_where_set("annotation", "turn_id"),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    dialogue_id: str = Field(foreign_key="dialogue.id", index=True)
    turn_id: str | None = Field(default=None, foreign_key="turn.id")
    verdict_id: str | None = Field(default=None, foreign_key="verdict.id")
    name: str
    """What is said: `tag`, `preference`, or any name of one's own."""
    label: str | None = None
    score: float | None = None
    explanation: str | None = None
    author: str
    """Who says it: a person's name, a model's, or a program's."""
    author_kind: AuthorKind = Field(default="human", sa_type=AutoString)
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: AwareDatetime = Field(default_factory=now)
