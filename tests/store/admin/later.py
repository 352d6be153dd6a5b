"""Revisions of the schema that there are not, for stores that are older than their openmic."""

import shutil
from pathlib import Path

import pytest

from openmic.store.admin.migrate import _SCRIPTS as SCRIPTS
from openmic.store.admin.migrate import head

PRESENT = head()
LATER = f"""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "{PRESENT}"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("run") as run:
        run.add_column(sa.Column("mood", sa.String(), nullable=True))
    op.create_index("ix_run_mood", "run", ["mood"])


def downgrade():
    op.drop_index("ix_run_mood", "run")
    with op.batch_alter_table("run") as run:
        run.drop_column("mood")
"""


def add_revision(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have openmic know one revision more than it does, `0002`, which gives runs a mood."""
    scripts = folder / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "0002_moods.py").write_text(LATER, encoding="utf-8")
    patch.setattr("openmic.store.admin.migrate._SCRIPTS", scripts)
