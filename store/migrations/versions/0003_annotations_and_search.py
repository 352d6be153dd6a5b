"""Annotations, full-text search, indexes for reading lists and lineages, and rows that no UPDATE can change.

SQLite's search lies in tables of FTS5 that triggers keep; PostgreSQL's in generated columns. Both lack what SQLAlchemy
could compare with the tables, so `migrate.is_ours` keeps them out of it. On SQLite a later migration that replaces one
of these tables (`batch_alter_table` does) loses its triggers, and has to make them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IMMUTABLE = (
    *("run_example", "example", "prompt_template", "turn", "verdict", "ballot", "critique", "preference", "llm_call"),
    *("training_item", "training_metric", "evaluation_item", "annotation"),
)
INDEXES = (
    ("dialogue", ("run_id", "started_at", "id")),
    ("dialogue", ("example_id", "started_at")),
    ("dialogue", ("final_turn_id",)),
    ("turn", ("run_id", "agent", "dialogue_id", "adapter_version")),
    ("turn", ("created_at",)),
    ("turn", ("parent_turn_id",)),
    ("verdict", ("first_turn_id",)),
    ("verdict", ("second_turn_id",)),
    ("verdict", ("reverse_turn_id",)),
    ("critique", ("target_turn_id",)),
    ("preference", ("run_id", "round")),
    ("preference", ("chosen_turn_id",)),
    ("preference", ("rejected_turn_id",)),
    ("preference", ("verdict_id",)),
    ("training_item", ("turn_id",)),
    ("training_item", ("preference_id",)),
    ("evaluation_item", ("output_turn_id",)),
    ("evaluation_item", ("reference_turn_id",)),
    ("evaluation_item", ("verdict_id",)),
    ("annotation", ("turn_id",)),
)
PARTIAL = frozenset({"final_turn_id", "parent_turn_id", "turn_id"})
"""Mostly null."""
SEARCHED = (("turn", "content"), ("example", "text"))
FOLDED = (
    # PostgreSQL's parser takes `late.Then` for a host and `and/or` for a path, so it is shown nothing but words.
    r"regexp_replace(regexp_replace(normalize(left({column}, 100000), NFD), '[\u0300-\u036f]+', '', 'g'), "
    r"'[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff"
    r"\u2e00-\u2e7f\u3000-\u303f\ufe00-\ufe6f\ufff0-\uffff\U0001f000-\U0001faff]+', ' ', 'g')"
)


def upgrade() -> None:
    op.create_table(
        "annotation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("dialogue_id", sa.String(), nullable=False),
        sa.Column("turn_id", sa.String(), nullable=True),
        sa.Column("verdict_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("explanation", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("author_kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_annotation_run_id_run")),
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_annotation_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_annotation_turn_id_turn")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_annotation_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
    )
    op.create_index(op.f("ix_annotation_run_id"), "annotation", ["run_id"], unique=False)
    op.create_index(op.f("ix_annotation_dialogue_id"), "annotation", ["dialogue_id"], unique=False)
    op.create_index(
        "uq_annotation_preference",
        "annotation",
        ["verdict_id", "author"],
        unique=True,
        sqlite_where=sa.text("name = 'preference'"),
        postgresql_where=sa.text("name = 'preference'"),
    )
    op.drop_index(op.f("ix_turn_run_id"), table_name="turn")
    for table, columns in INDEXES:
        there = sa.text(f"{columns[0]} IS NOT NULL") if columns[0] in PARTIAL else None
        op.create_index(_index(table, columns), table, list(columns), sqlite_where=there, postgresql_where=there)
    for table, column in SEARCHED:
        (_searchable_in_postgresql if _is_postgresql() else _searchable_in_sqlite)(table, column)
    if _is_postgresql():
        op.execute(
            "CREATE FUNCTION openmic_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
            "MESSAGE = 'rows of ' || TG_TABLE_NAME || ' never change once they are added'; END $$"
        )
    for table in IMMUTABLE:
        _guard(table)


def downgrade() -> None:
    if _is_postgresql():
        op.execute("DROP FUNCTION openmic_never_changes CASCADE")
    else:
        for table in IMMUTABLE:
            op.execute(f"DROP TRIGGER {table}_never_changes")
    for table, _ in SEARCHED:
        if _is_postgresql():
            op.drop_column(table, "words")
        else:
            op.execute(f"DROP TRIGGER {table}_words_added")
            op.execute(f"DROP TRIGGER {table}_words_removed")
            op.execute(f"DROP TABLE {table}_words")
    for table, columns in reversed(INDEXES):
        op.drop_index(_index(table, columns), table_name=table)
    op.create_index(op.f("ix_turn_run_id"), "turn", ["run_id"], unique=False)
    op.drop_index("uq_annotation_preference", table_name="annotation")
    op.drop_index(op.f("ix_annotation_dialogue_id"), table_name="annotation")
    op.drop_index(op.f("ix_annotation_run_id"), table_name="annotation")
    op.drop_table("annotation")


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _index(table: str, columns: tuple[str, ...]) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")


def _searchable_in_sqlite(table: str, column: str) -> None:
    columns = f"{column}, run_id" if table == "turn" else column  # within one run the index alone can tell
    new, old = (", ".join(f"{row}.{name}" for name in ("rowid", *columns.split(", "))) for row in ("new", "old"))
    op.execute(
        f"CREATE VIRTUAL TABLE {table}_words USING fts5({columns}, content='{table}', columnsize=0, "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    op.execute(
        f"CREATE TRIGGER {table}_words_added AFTER INSERT ON {table} BEGIN "
        f"INSERT INTO {table}_words (rowid, {columns}) VALUES ({new}); END"
    )
    op.execute(
        f"CREATE TRIGGER {table}_words_removed AFTER DELETE ON {table} BEGIN "
        f"INSERT INTO {table}_words ({table}_words, rowid, {columns}) VALUES ('delete', {old}); END"
    )
    op.execute(f"INSERT INTO {table}_words ({table}_words) VALUES ('rebuild')")


def _searchable_in_postgresql(table: str, column: str) -> None:
    # A column that another is generated from can no longer be given its collation afterwards.
    op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar COLLATE "C"')
    words = f"to_tsvector('simple'::regconfig, {FOLDED.format(column=column)})"
    op.get_bind().exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN words tsvector GENERATED ALWAYS AS ({words}) STORED")
    op.create_index(f"ix_{table}_words", table, ["words"], postgresql_using="gin")


def _guard(table: str) -> None:
    if _is_postgresql():
        op.execute(
            f"CREATE TRIGGER never_changes BEFORE UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION openmic_never_changes()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER {table}_never_changes BEFORE UPDATE ON {table} BEGIN "
            f"SELECT RAISE(ABORT, 'rows of {table} never change once they are added'); END"
        )
