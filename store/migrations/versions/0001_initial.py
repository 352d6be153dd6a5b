"""The tables, their full-text search, and rows that no UPDATE can change.

SQLite's search lies in tables of FTS5 that triggers keep; PostgreSQL's in generated columns. Both lack what SQLAlchemy
could compare with the tables, so `migrate.is_ours` keeps them out of it. On SQLite a later migration that replaces one
of these tables (`batch_alter_table` does) loses its triggers, and has to make them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001_bbbb1cc3"  # ends with a hash of the schema, so that one that was changed is told apart
down_revision = None
branch_labels = None
depends_on = None

MUTABLE = frozenset({"run", "dialogue", "adapter", "training", "evaluation"})
TABLES = (
    *("example", "experiment", "prompt", "prompt_template", "run", "dialogue", "evaluation", "llm_call", "run_example"),
    *("training", "adapter", "training_metric", "turn", "critique", "verdict", "annotation"),
    *("ballot", "evaluation_item", "preference", "training_item"),
)
"""Those that others refer to first."""
INDEXES = {
    "experiment": ("name",),
    "run": ("experiment",),
    "dialogue": ("example_id started_at", "run_id started_at id"),
    "llm_call": ("prompt_hash",),
    "turn": ("created_at", "run_id agent dialogue_id adapter_version"),
    "critique": ("target_turn_id",),
    "verdict": ("dialogue_id", "first_turn_id", "reverse_turn_id", "run_id", "second_turn_id"),
    "annotation": ("dialogue_id", "run_id"),
    "ballot": ("verdict_id",),
    "evaluation_item": ("output_turn_id", "reference_turn_id", "verdict_id"),
    "preference": ("chosen_turn_id", "dialogue_id", "rejected_turn_id", "run_id round", "verdict_id"),
    "training_item": ("preference_id", "training_id"),
}
"""Of each table, the columns of each index."""
PARTIAL_INDEXES = {
    "dialogue": ("final_turn_id", "prompt_hash"),
    "turn": ("parent_turn_id", "prompt_hash"),
    "annotation": ("turn_id",),
    "training_item": ("turn_id",),
    "evaluation_item": ("critic_verdict_id",),
}
"""Of columns that are mostly null, over the rows in which they are not."""
CALL_COUNTS = ("batched", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "estimated")
SEARCHED = (("turn", "content"), ("example", "text"))
UNSPACED = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"
    r"\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
MARKS = (
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060"
    r"\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd"
    r"\u3099\u309a"
)
FOLDED = (
    # PostgreSQL's parser takes `late.Then` for a host and `and/or` for a path, so it is shown nothing but words, and
    # letters of scripts without spaces one by one.
    r"regexp_replace(regexp_replace("
    r"normalize(regexp_replace(normalize(left({column}, 100000), NFD), '[\u0300-\u036f]+', '', 'g'), NFC), "
    r"'[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff"
    r"\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u302a-\u3030\u3036-\u3037\u303d-\u303f\u30fb\ufe00-\ufe6f"
    r"\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufff0-\uffff\U0001f000-\U0001faff]+', ' ', 'g'), "
    rf"'([{UNSPACED}][{MARKS}]*)', ' \1 ', 'g')"
)


def upgrade() -> None:
    op.create_table(
        "example",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_example")),
    )
    op.create_table(
        "prompt",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_prompt")),
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
        "experiment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("task_hash", sa.String(), nullable=False),
        sa.Column("task_file", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("cast", sa.JSON(), nullable=False),
        sa.Column("plugs", sa.JSON(), nullable=False),
        sa.Column("folders", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("config_hash", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("student_files", sa.JSON(), nullable=False),
        sa.Column("git_commit", sa.String(), nullable=True),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("home", sa.String(), nullable=False),
        sa.Column("duplicate_inputs", sa.Integer(), nullable=False),
        sa.Column("cost", sa.JSON(), nullable=False),
        sa.Column("batches", sa.JSON(), nullable=False),
        sa.Column("config_file", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("reuses", sa.String(), nullable=True),
        sa.Column("experiment", sa.String(), nullable=True),
        sa.Column("arm", sa.String(), nullable=True),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source_run_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["source_run_id"], ["run.id"], name=op.f("fk_run_source_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_table(
        "dialogue",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("prompt_hash", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("final_turn_id", sa.String(), nullable=True),
        sa.Column("tally", sa.String(), nullable=True),
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
        sa.ForeignKeyConstraint(["prompt_hash"], ["prompt.hash"], name=op.f("fk_dialogue_prompt_hash_prompt")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_dialogue_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dialogue")),
        sa.UniqueConstraint(
            "run_id", "stage", "round", "example_id", name=op.f("uq_dialogue_run_id_stage_round_example_id")
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
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("prompt_hash", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in CALL_COUNTS),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("reply", sa.JSON(), nullable=False),
        sa.Column("reply_hash", sa.String(), nullable=False),
        sa.Column("reused_from", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["prompt_hash"], ["prompt.hash"], name=op.f("fk_llm_call_prompt_hash_prompt")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_llm_call_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_llm_call")),
    )
    op.create_table(
        "run_example",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("own_id", sa.String(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
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
        sa.Column("queue_ms", sa.Float(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_turn_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["parent_turn_id"], ["turn.id"], name=op.f("fk_turn_parent_turn_id_turn")),
        sa.ForeignKeyConstraint(["prompt_hash"], ["prompt.hash"], name=op.f("fk_turn_prompt_hash_prompt")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_turn_run_id_run")),
        sa.ForeignKeyConstraint(
            ["template_hash"], ["prompt_template.hash"], name=op.f("fk_turn_template_hash_prompt_template")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
        sa.UniqueConstraint("dialogue_id", "seq", name=op.f("uq_turn_dialogue_id_seq")),
    )
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
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
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
        sa.ForeignKeyConstraint(["dialogue_id"], ["dialogue.id"], name=op.f("fk_annotation_dialogue_id_dialogue")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_annotation_run_id_run")),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_annotation_turn_id_turn")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_annotation_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
    )
    op.create_table(
        "ballot",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("forward", sa.Boolean(), nullable=False),
        sa.Column("p_first", sa.Float(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("label_mass", sa.Float(), nullable=True),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name=op.f("fk_ballot_turn_id_turn")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_ballot_verdict_id_verdict")),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_ballot")),
    )
    op.create_table(
        "evaluation_item",
        sa.Column("evaluation_id", sa.String(), nullable=False),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("output_turn_id", sa.String(), nullable=False),
        sa.Column("reference_turn_id", sa.String(), nullable=False),
        sa.Column("verdict_id", sa.String(), nullable=False),
        sa.Column("critic_verdict_id", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
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
        sa.ForeignKeyConstraint(
            ["critic_verdict_id"], ["verdict.id"], name=op.f("fk_evaluation_item_critic_verdict_id_verdict")
        ),
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
    op.create_index(
        "uq_annotation_preference",
        "annotation",
        ["verdict_id", "author"],
        unique=True,
        sqlite_where=sa.text("name = 'preference'"),
        postgresql_where=sa.text("name = 'preference'"),
    )
    for table, indexed in INDEXES.items():
        for columns in (names.split() for names in indexed):
            op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    usage = ["run_id", "role", "member", "reused_from", *CALL_COUNTS, "latency_ms"]
    op.create_index("ix_llm_call_usage", "llm_call", usage)
    for table, partly in PARTIAL_INDEXES.items():
        for column in partly:
            there = sa.text(f"{column} IS NOT NULL")
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column], sqlite_where=there, postgresql_where=there)
    for table, column in SEARCHED:
        (_searchable_in_postgresql if _is_postgresql() else _searchable_in_sqlite)(table, column)
    if _is_postgresql():
        op.execute(
            "CREATE FUNCTION openmic_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
            "MESSAGE = 'rows of ' || TG_TABLE_NAME || ' never change once they are added'; END $$"
        )
    for table in TABLES:
        if table not in MUTABLE:
            _guard(table)


def downgrade() -> None:
    if _is_postgresql():
        op.execute("DROP FUNCTION openmic_never_changes CASCADE")
        op.drop_constraint(op.f("fk_dialogue_final_turn_id_turn"), "dialogue", type_="foreignkey")
    else:
        for table, _ in SEARCHED:
            op.execute(f"DROP TABLE {table}_words")
    for table in reversed(TABLES):
        op.drop_table(table)  # with its indexes and triggers


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _searchable_in_sqlite(table: str, column: str) -> None:
    columns = f"{column}, run_id" if table == "turn" else column  # within one run the index alone can tell
    new, old = (
        ", ".join([f"{row}.rowid", *(f"openmic_words({row}.{name})" for name in columns.split(", "))])
        for row in ("new", "old")
    )
    # The index is given words that Python has told apart and folded, so that there is nothing left to do but to count.
    op.execute(
        f"CREATE VIRTUAL TABLE {table}_words USING fts5({columns}, content='', columnsize=0, "
        "tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* M* Co'\")"
    )
    op.execute(
        f"CREATE TRIGGER {table}_words_added AFTER INSERT ON {table} BEGIN "
        f"INSERT INTO {table}_words (rowid, {columns}) VALUES ({new}); END"
    )
    op.execute(
        f"CREATE TRIGGER {table}_words_removed AFTER DELETE ON {table} BEGIN "
        f"INSERT INTO {table}_words ({table}_words, rowid, {columns}) VALUES ('delete', {old}); END"
    )


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
