"""The transcript's tables: runs, their inputs, and every word that was said, with exactly where it came from.

Rows are values: they are added once and read back detached. A column of JSON is replaced as a whole or not at all, for
a change inside a dict that was read is never noticed by the database. Only `Run` and `Dialogue` change afterwards, by
`Store.update`. What was learned from the transcripts is in `lineage`.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import AwareDatetime
from sqlalchemy import JSON, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field
from sqlmodel.sql.sqltypes import AutoString

from ...core.ids import content_hash
from ...core.records import (
    Agent,
    Input,
    Message,
    Outcome,
    PreferenceSource,
    Role,
    Split,
    Stage,
    TurnKind,
    VerdictMethod,
    as_sent,
)
from ..schema import TableModel, index_where_set, member_of, now

RunStatus = Literal["running", "finished", "failed", "interrupted"]
RunKind = Literal["campaign", "train", "rejudge", "evaluate"]
"""A run of its own, or one that trains on, or judges again, another run's transcripts, or evaluates its adapters."""
DialogueStatus = Literal["pending", "finished", "failed"]


class Run(TableModel, table=True):
    """One execution of a campaign, with everything it was started with."""

    __tablename__ = "run"

    id: str = Field(primary_key=True)
    name: str
    task: str
    task_hash: str
    task_file: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The task as a task file would hold it, every default filled in; empty for one of a class of its own."""
    status: RunStatus = Field(default="running", sa_type=AutoString)
    cast: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Which model plays each role, and `simulated`: whether the large models were the simulated cast."""
    plugs: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was given as a Python object or an import path, by its key (`cast.critic`, `training.objective`, …): `use`,
    the import path; `kwargs`; `source_hash`, of its source, null where that cannot be read; `earlier_hashes`, those it
    had before it was changed, if it was; `importable`, whether it can be imported again when the run is resumed."""
    folders: list[str] = Field(default_factory=list, sa_type=JSON)
    """Where modules were looked for that are not installed: the working directory, the configuration's folder. Empty
    where nothing was imported."""
    config: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The configuration as resolved, defaults included; never a secret."""
    config_hash: str
    arguments: list[str] = Field(default_factory=list, sa_type=JSON)
    """The command line as it was typed."""
    seed: int
    student_files: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The SHA-256 of each file of the student's folder, by name; empty for a hub's model, whose commit is pinned."""
    git_commit: str | None = None
    packages: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Versions of the packages that decide the outcome, by name."""
    home: str
    """The folder of the run's files, relative to the folder of the store's file where it lies beneath it."""
    duplicate_inputs: int = 0
    """Inputs that the file held again, and that were left out."""
    cost: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """`prices`, what each member of the cast charges by `ROLE.MEMBER` (see `store.spending.Price`); `estimate`, what
    the run was to take by role, and `foreseen_s`, how many seconds at least, and `foreseen_stages`, of each
    stage, where that was worked out."""
    batches: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """What was sent to providers in batches, on record before it is waited for: `seat`, as `ROLE.MEMBER`; `stages`,
    those that are not over and have requests in it; `file`, the provider's id of the requests; `batch`, its id of the
    batch, null while that is being made; `requests`, how many; `room`, the tokens that each reply had beside those for
    its answer; `sent_at`; `ended`, whether nobody waits for it any more; `missed`, whether its replies were asked for
    in vain; `lost`, whether the provider has them no more."""
    config_file: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """`path` and `values`, what the configuration file said when the run began; empty where there was none."""
    seconds: float = 0.0
    """How long it has been worked on, all its processes together."""
    reuses: str | None = None
    """The run whose replies and texts it takes where they are what it would ask for."""
    experiment: str | None = Field(default=None, index=True)
    """The name of the experiment it belongs to, whose other runs it takes replies, texts and adapters from likewise."""
    arm: str | None = None
    """Which arm of the experiment it is, for its `seed`."""
    content: str | None = None
    """The hash of all that decides what it comes to: an experiment finds by it what is done already."""
    kind: RunKind = Field(default="campaign", sa_type=AutoString)
    source_run_id: str | None = Field(default=None, foreign_key="run.id")
    """The run whose transcripts this one works on; None for a campaign."""
    created_at: AwareDatetime = Field(default_factory=now)
    finished_at: AwareDatetime | None = None
    error: str | None = None


class ExperimentRow(TableModel, table=True):
    """An experiment as it was told: arms and seeds. Its runs have its name; one that is told anew has a row more."""

    __tablename__ = "experiment"

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    spec: dict[str, Any] = Field(sa_type=JSON)
    """What its file says, every default filled in: arms in order, seeds, the common configuration."""
    arguments: list[str] = Field(default_factory=list, sa_type=JSON)
    """The command line as it was typed."""
    created_at: AwareDatetime = Field(default_factory=now)


class ExampleRow(TableModel, table=True):
    """One literal input, shared by all runs. Its id is the hash of its content."""

    __tablename__ = "example"

    id: str = Field(primary_key=True)
    text: str
    """What people read of it."""
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The input's fields by their names, where it has several; empty where it is one text."""

    @property
    def value(self) -> Input:
        """The input as prompts and scorers get it."""
        return self.fields or self.text


class RunExample(TableModel, table=True):
    """That a run uses an input, and where in the run's order it comes."""

    __tablename__ = "run_example"

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    example_id: str = Field(primary_key=True, foreign_key="example.id")
    position: int
    split: Split = Field(sa_type=member_of(Split))
    """Which part the input plays in this run; the shares of the splits are a run's own."""
    own_id: str | None = None
    """The id that the run's file of inputs gives it."""
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What else that file says of it, of what `inputs.metadata` names."""


class PromptTemplateRow(TableModel, table=True):
    """A prompt before anything was filled in. Its hash is that of its text and of what it is for."""

    __tablename__ = "prompt_template"

    hash: str = Field(primary_key=True)
    task: str
    role: str
    purpose: str
    version: str
    text: str


class PromptRow(TableModel, table=True):
    """The exact messages that a model was sent, kept once however often they were sent."""

    __tablename__ = "prompt"

    hash: str = Field(primary_key=True)
    messages: list[dict[str, str]] = Field(sa_type=JSON)
    """In order, each with its `role` and `content`."""

    @classmethod
    def of(cls, messages: Sequence[Message], known_hash: str | None = None) -> Self:
        """The row of these messages; its hash is the `prompt_hash` of a request, if one is there to say it."""
        sent = as_sent(messages)
        return cls(hash=content_hash(sent) if known_hash is None else known_hash, messages=sent)


class Dialogue(TableModel, table=True):
    """One input's conversation at one stage and round of a run."""

    __tablename__ = "dialogue"
    __table_args__ = (
        UniqueConstraint("run_id", "stage", "round", "example_id"),
        # Dialogues and turns refer to each other: `use_alter` breaks the circle, and checking at commit lets a dialogue
        # be added in one transaction with the turn that ends it.
        ForeignKeyConstraint(["final_turn_id"], ["turn.id"], use_alter=True, deferrable=True, initially="DEFERRED"),
        Index("ix_dialogue_run_id_started_at_id", "run_id", "started_at", "id"),
        Index("ix_dialogue_example_id_started_at", "example_id", "started_at"),
        index_where_set("dialogue", "final_turn_id"),
        index_where_set("dialogue", "prompt_hash"),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    stage: Stage = Field(sa_type=member_of(Stage))
    round: int
    example_id: str = Field(foreign_key="example.id")
    prompt_hash: str | None = Field(default=None, foreign_key="prompt.hash")
    """What the student is asked about the input, and so what it learns the dialogue's texts as answers to."""
    status: DialogueStatus = Field(default="pending", sa_type=AutoString)
    stop_reason: str | None = None
    error: str | None = None
    final_turn_id: str | None = None
    """The turn whose text the dialogue arrived at."""
    tally: str | None = None
    """What was said in it, counted as it finished (see `store.tally`), in JSON; null where it is counted when asked."""
    started_at: AwareDatetime = Field(default_factory=now)
    finished_at: AwareDatetime | None = None


class Turn(TableModel, table=True):
    """One thing one agent said, with all that is needed to see why. Never altered."""

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("dialogue_id", "seq"),
        Index("ix_turn_run_id_agent_dialogue_id_adapter_version", "run_id", "agent", "dialogue_id", "adapter_version"),
        index_where_set("turn", "parent_turn_id"),
        index_where_set("turn", "prompt_hash"),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    dialogue_id: str = Field(foreign_key="dialogue.id")
    seq: int
    """Place within the dialogue."""
    parent_turn_id: str | None = Field(default=None, foreign_key="turn.id")
    """The turn this one answers: of a revision, the text that was revised."""
    agent: Agent = Field(sa_type=member_of(Agent))
    kind: TurnKind = Field(sa_type=member_of(TurnKind))
    content: str
    """What was said, as it was read; the score, as a number, where a verdict comes from a scorer."""
    content_hash: str
    prompt_hash: str | None = Field(default=None, foreign_key="prompt.hash")
    """The exact messages that were sent; None where nobody was asked, as with a scorer."""
    template_hash: str | None = Field(default=None, foreign_key="prompt_template.hash")
    request_key: str | None = None
    """The content key of the LLM call, or the id of the student's generation request; None for a critic or teacher
    that is no endpoint."""
    model: str
    """The model that was asked for, or the import path of what stands in its place."""
    model_resolved: str | None = None
    """The model as the endpoint named it in its reply."""
    adapter_version: int | None = None
    sampling: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    seed: int | None = None
    finish_reason: str | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    queue_ms: float = 0.0
    latency_ms: float = 0.0
    retries: int = 0
    worker: str | None = None
    raw: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Of a student's turn, its text before it was cleaned and its tokens; of the teacher's log-probabilities of a
    draft, `token_logprobs`, one for each of its tokens; a large model's reply is in `llm_call`."""
    note: str | None = None
    """What the turn's text does not say: why a gate rejected a draft, for instance."""
    created_at: AwareDatetime = Field(default_factory=now, index=True)


class VerdictRow(TableModel, table=True):
    """A preference between two texts, asked in both orders."""

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("forward_turn_id"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    dialogue_id: str = Field(foreign_key="dialogue.id", index=True)
    agent: Literal["critic", "judge"] = Field(sa_type=AutoString)
    first_turn_id: str = Field(foreign_key="turn.id", index=True)
    second_turn_id: str = Field(foreign_key="turn.id", index=True)
    forward_turn_id: str = Field(foreign_key="turn.id")
    """The verdict turn in which the first text was shown first."""
    reverse_turn_id: str = Field(foreign_key="turn.id", index=True)
    """The verdict turn in which the first text was shown second."""
    p_forward: float = Field(ge=0, le=1)
    """p(the first text is better), asked in the forward order."""
    p_reverse: float = Field(ge=0, le=1)
    """p(the first text is better), asked in the reverse order."""
    p_first: float = Field(ge=0, le=1)
    """The mean of both."""
    consistent: bool
    """Whether both orders prefer the same text."""
    outcome: Outcome = Field(sa_type=AutoString)
    """How the first text fared against the second."""
    method: VerdictMethod = Field(sa_type=AutoString)
    answered: bool = True
    """Whether every reply behind it answers the question; false where one is read from next to nothing."""
    source: PreferenceSource | None = Field(default=None, sa_type=AutoString)
    """What was compared, and so where a preference that it makes comes from; None where nothing is learned from it: in
    evaluations, and for a judge's."""
    created_at: AwareDatetime = Field(default_factory=now)


class BallotRow(TableModel, table=True):
    """One reply that went into a verdict: of one critic, in one order, and of several where labels were sampled."""

    __tablename__ = "ballot"

    turn_id: str = Field(primary_key=True, foreign_key="turn.id")
    verdict_id: str = Field(foreign_key="verdict.id", index=True)
    member: int
    """Which critic of a jury said it, 0 the first."""
    forward: bool
    """Whether the verdict's first text was shown first."""
    p_first: float = Field(ge=0, le=1)
    """p(the verdict's first text is better) as read from this reply alone."""
    method: VerdictMethod = Field(sa_type=AutoString)
    label_mass: float | None = None
    """What both labels had together of the probability where the reply names one or should; None where unknown."""
    answered: bool = True
    """Whether the reply answers the question."""


class CritiqueRow(TableModel, table=True):
    """What a critique turn says about another turn, taken apart."""

    __tablename__ = "critique"

    turn_id: str = Field(primary_key=True, foreign_key="turn.id")
    target_turn_id: str = Field(foreign_key="turn.id", index=True)
    works: str
    missing: str
    suggestion: str
    parse_ok: bool
    """False where the critic did not keep to the form and its whole text was taken instead."""


class Preference(TableModel, table=True):
    """One text over another, to be learned from."""

    __tablename__ = "preference"
    __table_args__ = (
        UniqueConstraint("run_id", "chosen_turn_id", "rejected_turn_id"),
        CheckConstraint("chosen_turn_id <> rejected_turn_id", name="two_turns"),
        Index("ix_preference_run_id_round", "run_id", "round"),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    round: int
    dialogue_id: str = Field(foreign_key="dialogue.id", index=True)
    example_id: str = Field(foreign_key="example.id")
    chosen_turn_id: str = Field(foreign_key="turn.id", index=True)
    rejected_turn_id: str = Field(foreign_key="turn.id", index=True)
    source: PreferenceSource = Field(sa_type=AutoString)
    margin: float = Field(ge=0, le=1)
    """How sure the critic was, |p - 1/2| * 2."""
    length_ratio: float = Field(ge=0)
    """Length of the chosen text over that of the rejected one."""
    verdict_id: str | None = Field(default=None, foreign_key="verdict.id", index=True)
    """None where no verdict was asked for."""
    created_at: AwareDatetime = Field(default_factory=now)


CALL_USAGE = (
    "reused_from",
    "batched",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "estimated",
    "latency_ms",
)
"""What of a call says what it took."""


class LLMCall(TableModel, table=True):
    """A question to a large model and its reply, kept so that it is never paid for twice."""

    __tablename__ = "llm_call"
    # What was spent is read from the index alone: the rows are large.
    __table_args__ = (Index("ix_llm_call_usage", "run_id", "role", "member", *CALL_USAGE),)

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    key: str = Field(primary_key=True)
    """`LLMRequest.key`."""
    role: Role = Field(sa_type=AutoString)
    member: int = 0
    """Which of the role's models."""
    model: str
    prompt_hash: str = Field(foreign_key="prompt.hash", index=True)
    """The exact messages that were sent."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: int = 0
    """Whether the endpoint did not count them, or not all; 1 or 0."""
    batched: int = 0
    """Whether it came in a batch of the provider's, which charges half; 1 or 0."""
    latency_ms: float = 0.0
    request: dict[str, Any] = Field(sa_type=JSON)
    """Sampling, seed and all else that went into the key."""
    reply: dict[str, Any] = Field(sa_type=JSON)
    """The `LLMReply`."""
    reply_hash: str
    """Of the reply as it was stored."""
    reused_from: str | None = None
    """The run it was taken from; it was paid for there. None where it was asked for by this run."""
    created_at: AwareDatetime = Field(default_factory=now)
