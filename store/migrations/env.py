"""What Alembic runs for every migration. The connection and the metadata are given by `openmic.store.admin.migrate`."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context


def render_plainly(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Draft columns in SQLAlchemy's own types, so that a migration stays what it is when the tables' types change."""
    if kind == "type" and isinstance(item, sa.Enum):
        return f"sa.String({item.length})"
    if kind == "type" and isinstance(item, sa.TypeDecorator):
        return "sa.DateTime(timezone=True)" if isinstance(item.impl, sa.DateTime) else "sa.String()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    render_as_batch=True,  # SQLite alters a table by replacing it
    render_item=render_plainly,
    include_name=context.config.attributes["include_name"],
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
