"""Every reply that went into a verdict, and runs that work on another run's transcripts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ballot",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("forward", sa.Boolean(), nullable=False),
        sa.Column("p_first", sa.Float(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_ballot_turn_id_turn")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_ballot_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_ballot")),
    )
    op.create_index(op.f("ix_ballot_verdict_id"), "ballot", ["verdict_id"], unique=False)
    with op.batch_alter_table("run") as run:
        run.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="campaign"))
        run.add_column(sa.Column("source_run_id", sa.String(), nullable=True))
        run.create_foreign_key(op.f("fk_run_source_run_id_run"), "run", ["source_run_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("run") as run:
        run.drop_constraint(op.f("fk_run_source_run_id_run"), type_="foreignkey")
        run.drop_column("source_run_id")
        run.drop_column("kind")
    op.drop_index(op.f("ix_ballot_verdict_id"), table_name="ballot")
    op.drop_table("ballot")
