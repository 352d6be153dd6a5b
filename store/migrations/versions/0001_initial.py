"""The tables of the transcripts and of what is learned from them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "example",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_example")),
    )
    op.create_table(
        "prompt_template",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_prompt_template")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("task_hash", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("cast", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("config_hash", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("git_commit", sa.String(), nullable=True),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("home", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_table(
        "dialogue",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("replica", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("final_turn_id", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["example_id"], ["example.id"], name=op.f("fk_dialogue_example_id_example")),
        sa.ForeignKeyConstraint(
            ["final_turn_id"],
            ["turn.id"],
            name=op.f("fk_dialogue_final_turn_id_turn"),
            initially="DEFERRED",
            deferrable=True,
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_dialogue_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dialogue")),
        sa.UniqueConstraint(
            "run_id",
            "stage",
            "round",
            "example_id",
            "replica",
            name=op.f("uq_dialogue_run_id_stage_round_example_id_replica"),
        ),
    )
    op.create_table(
        "evaluation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("adapter_version", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_evaluation_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.UniqueConstraint(
            "run_id", "adapter_version", "split", name=op.f("uq_evaluation_run_id_adapter_version_split")
        ),
    )
    op.create_table(
        "llm_call",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("reply", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_llm_call_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_llm_call")),
    )
    op.create_table(
        "run_example",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["example_id"], ["example.id"], name=op.f("fk_run_example_example_id_example")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_example_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "example_id", name=op.f("pk_run_example")),
    )
    op.create_table(
        "training",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("objective", sa.String(), nullable=False),
        sa.Column("parent_version", sa.Integer(), nullable=False),
        sa.Column("adapter_version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_training_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training")),
        sa.UniqueConstraint("run_id", "adapter_version", name=op.f("uq_training_run_id_adapter_version")),
    )
    op.create_table(
        "adapter",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("parent_version", sa.Integer(), nullable=True),
        sa.Column("base_model", sa.String(), nullable=False),
        sa.Column("base_revision", sa.String(), nullable=True),
        sa.Column("uri", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("lora", sa.JSON(), nullable=False),
        sa.Column("training_id", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_adapter_run_id_run")),
        sa.ForeignKeyConstraint(["training_id"], ["training.id"], name=op.f("fk_adapter_training_id_training")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter")),
        sa.UniqueConstraint("run_id", "version", name=op.f("uq_adapter_run_id_version")),
    )
    op.create_table(
        "training_metric",
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["training_id"], ["training.id"], name=op.f("fk_training_metric_training_id_training")),
        sa.PrimaryKeyConstraint("training_id", "step", name=op.f("pk_training_metric")),
    )
    op.create_table(
        "turn",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("dialogue_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("parent_turn_id", sa.String(), nullable=True),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("prompt_hash", sa.String(), nullable=True),
        sa.Column("template_hash", sa.String(), nullable=True),
        sa.Column("request_key", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_resolved", sa.String(), nullable=True),
        sa.Column("adapter_version", sa.Integer(), nullable=True),
        sa.Column("sampling", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("queue_ms", sa.Float(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_turn_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["parent_turn_id"], ["turn.id"], name=op.f("fk_turn_parent_turn_id_turn")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_turn_run_id_run")),
        sa.ForeignKeyConstraint(
            ["template_hash"], ["prompt_template.hash"], name=op.f("fk_turn_template_hash_prompt_template")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
        sa.UniqueConstraint("dialogue_id", "seq", name=op.f("uq_turn_dialogue_id_seq")),
    )
    if op.get_context().dialect.supports_alter:
        # SQLite has taken this one with its table; elsewhere it has to wait for the table it refers to.
        op.create_foreign_key(
            op.f("fk_dialogue_final_turn_id_turn"),
            "dialogue",
            "turn",
            ["final_turn_id"],
            ["id"],
            deferrable=True,
            initially="DEFERRED",
        )
    op.create_index(op.f("ix_turn_run_id"), "turn", ["run_id"], unique=False)
    op.create_table(
        "critique",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("target_turn_id", sa.String(), nullable=False),
        sa.Column("works", sa.String(), nullable=False),
        sa.Column("missing", sa.String(), nullable=False),
        sa.Column("suggestion", sa.String(), nullable=False),
        sa.Column("parse_ok", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["target_turn_id"], ["turn.id"], name=op.f("fk_critique_target_turn_id_turn")),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_critique_turn_id_turn")),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_critique")),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("dialogue_id", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("first_turn_id", sa.String(), nullable=False),
        sa.Column("second_turn_id", sa.String(), nullable=False),
        sa.Column("forward_turn_id", sa.String(), nullable=False),
        sa.Column("reverse_turn_id", sa.String(), nullable=False),
        sa.Column("p_forward", sa.Float(), nullable=False),
        sa.Column("p_reverse", sa.Float(), nullable=False),
        sa.Column("p_first", sa.Float(), nullable=False),
        sa.Column("consistent", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_verdict_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["first_turn_id"], ["turn.id"], name=op.f("fk_verdict_first_turn_id_turn")),
        sa.ForeignKeyConstraint(["forward_turn_id"], ["turn.id"], name=op.f("fk_verdict_forward_turn_id_turn")),
        sa.ForeignKeyConstraint(["reverse_turn_id"], ["turn.id"], name=op.f("fk_verdict_reverse_turn_id_turn")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_verdict_run_id_run")),
        sa.ForeignKeyConstraint(["second_turn_id"], ["turn.id"], name=op.f("fk_verdict_second_turn_id_turn")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("forward_turn_id", name=op.f("uq_verdict_forward_turn_id")),
    )
    op.create_index(op.f("ix_verdict_dialogue_id"), "verdict", ["dialogue_id"], unique=False)
    op.create_index(op.f("ix_verdict_run_id"), "verdict", ["run_id"], unique=False)
    op.create_table(
        "evaluation_item",
        sa.Column("evaluation_id", sa.String(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("output_turn_id", sa.String(), nullable=False),
        sa.Column("reference_turn_id", sa.String(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("meets_rubric", sa.Boolean(), nullable=True),
        sa.Column("length_ratio", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluation.id"], name=op.f("fk_evaluation_item_evaluation_id_evaluation")
        ),
        sa.ForeignKeyConstraint(["example_id"], ["example.id"], name=op.f("fk_evaluation_item_example_id_example")),
        sa.ForeignKeyConstraint(["output_turn_id"], ["turn.id"], name=op.f("fk_evaluation_item_output_turn_id_turn")),
        sa.ForeignKeyConstraint(
            ["reference_turn_id"], ["turn.id"], name=op.f("fk_evaluation_item_reference_turn_id_turn")
        ),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_evaluation_item_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("evaluation_id", "example_id", name=op.f("pk_evaluation_item")),
    )
    op.create_table(
        "preference",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("dialogue_id", sa.String(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("chosen_turn_id", sa.String(), nullable=False),
        sa.Column("rejected_turn_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("margin", sa.Float(), nullable=False),
        sa.Column("length_ratio", sa.Float(), nullable=False),
        sa.Column("order_consistent", sa.Boolean(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("chosen_turn_id <> rejected_turn_id", name=op.f("ck_preference_two_turns")),
        sa.ForeignKeyConstraint(["chosen_turn_id"], ["turn.id"], name=op.f("fk_preference_chosen_turn_id_turn")),
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_preference_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["example_id"], ["example.id"], name=op.f("fk_preference_example_id_example")),
        sa.ForeignKeyConstraint(["rejected_turn_id"], ["turn.id"], name=op.f("fk_preference_rejected_turn_id_turn")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_preference_run_id_run")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_preference_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preference")),
        sa.UniqueConstraint(
            "run_id",
            "chosen_turn_id",
            "rejected_turn_id",
            name=op.f("uq_preference_run_id_chosen_turn_id_rejected_turn_id"),
        ),
    )
    op.create_index(op.f("ix_preference_dialogue_id"), "preference", ["dialogue_id"], unique=False)
    op.create_table(
        "training_item",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.String(), nullable=True),
        sa.Column("preference_id", sa.String(), nullable=True),
        sa.CheckConstraint("(turn_id IS NULL) <> (preference_id IS NULL)", name=op.f("ck_training_item_one_source")),
        sa.ForeignKeyConstraint(
            ["preference_id"], ["preference.id"], name=op.f("fk_training_item_preference_id_preference")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_training_item_run_id_run")),
        sa.ForeignKeyConstraint(["training_id"], ["training.id"], name=op.f("fk_training_item_training_id_training")),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_training_item_turn_id_turn")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_item")),
        sa.UniqueConstraint("run_id", "preference_id", name=op.f("uq_training_item_run_id_preference_id")),
        sa.UniqueConstraint("training_id", "turn_id", name=op.f("uq_training_item_training_id_turn_id")),
    )
    op.create_index(op.f("ix_training_item_training_id"), "training_item", ["training_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_training_item_training_id"), table_name="training_item")
    op.drop_table("training_item")
    op.drop_index(op.f("ix_preference_dialogue_id"), table_name="preference")
    op.drop_table("preference")
    op.drop_table("evaluation_item")
    op.drop_index(op.f("ix_verdict_run_id"), table_name="verdict")
    op.drop_index(op.f("ix_verdict_dialogue_id"), table_name="verdict")
    op.drop_table("verdict")
    op.drop_table("critique")
    op.drop_index(op.f("ix_turn_run_id"), table_name="turn")
    if op.get_context().dialect.supports_alter:
        op.drop_constraint(op.f("fk_dialogue_final_turn_id_turn"), "dialogue", type_="foreignkey")
    op.drop_table("turn")
    op.drop_table("training_metric")
    op.drop_table("adapter")
    op.drop_table("training")
    op.drop_table("run_example")
    op.drop_table("llm_call")
    op.drop_table("evaluation")
    op.drop_table("dialogue")
    op.drop_table("run")
    op.drop_table("prompt_template")
    op.drop_table("example")
