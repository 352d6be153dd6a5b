"""The plain records that cross rooms. No record knows the store, a model or a graph."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from .ids import content_hash

Role = Literal["teacher", "critic", "judge"]
"""A role that a large model plays, behind an OpenAI-compatible endpoint."""

Input = str | Mapping[str, str]
"""One input as prompts and scorers get it: its text, or its fields by name where it has several."""

Outcome = Literal["win", "tie", "loss"]
"""How the first of two texts fared against the second."""

VerdictMethod = Literal["logprobs", "sampled", "text", "cloze", "score", "function"]
"""How p(first better) was read: from the label's probabilities, from labels sampled several times, from the one label
that was named, from how likely each text is in a template, from the scores of a scorer, or from what a Python critic
said."""

PreferenceSource = Literal["candidates", "revision", "teacher_pair", "teacher", "gate", "given"]
"""Where a preference comes from: two drafts, a revision over its draft, two demonstrations of the teacher, the
teacher's text over the student's, a valid text over one that a gate turned away, or pairs of other people's making."""


GIVEN = "given"
"""The source of preferences whose pairs are of other people's making, and why the dialogues that hold them ended."""


class Split(StrEnum):
    """Which part an input plays. Fixed by the hash of its content, so it never moves between runs."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


class Agent(StrEnum):
    """Who said a turn."""

    TEACHER = "teacher"
    STUDENT = "student"
    CRITIC = "critic"
    JUDGE = "judge"


class TurnKind(StrEnum):
    """What a turn is."""

    DEMONSTRATION = "demonstration"
    DRAFT = "draft"
    VERDICT = "verdict"
    CRITIQUE = "critique"
    REVISION = "revision"
    LOGPROBS = "logprobs"


class Stage(StrEnum):
    """What a dialogue was held for."""

    DEMONSTRATE = "demonstrate"
    COLLECT = "collect"
    EVALUATE = "evaluate"
    REJUDGE = "rejudge"


@dataclass(frozen=True, slots=True)
class Example:
    """One literal input. `id` is the hash of its content."""

    id: str
    text: str
    """What people read of it: the text itself, or all fields with their names where it has several."""
    split: Split
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Its fields by name, in the order of the configuration; empty where it is one text."""
    own_id: str | None = None
    """The id that its file gives it (`inputs.id_field`)."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else its file says of it (`inputs.metadata`), fit for JSON."""

    @property
    def value(self) -> Input:
        """The input as prompts and scorers get it."""
        return self.fields or self.text


def input_words(value: Input) -> str:
    """What an input says, for counting: its text, or its fields without their names."""
    return value if isinstance(value, str) else "\n".join(value.values())


def input_text(value: Input) -> str:
    """All of an input as one text: itself, or a line `name: text` for each field that holds any."""
    if isinstance(value, str):
        return value
    return "\n".join(f"{name}: {text}" for name, text in value.items() if text)


class Sampling(BaseModel):
    """How a model samples."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    temperature: float = Field(default=1.0, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """The share of probability that tokens are drawn from, the likeliest first."""
    max_tokens: int = Field(default=128, ge=1)
    """The most tokens to generate for one reply."""


class StudentSampling(Sampling):
    """How the student samples: by nucleus, or with several beams."""

    num_beams: int = Field(default=1, ge=1)
    """Beams of a beam search; 1 samples by nucleus. With temperature 0 the search is exact, else beams are sampled."""

    def settled(self, max_tokens: int) -> Self:
        """The same with so many tokens at most, where that is still open (0)."""
        return self if self.max_tokens else self.model_copy(update={"max_tokens": max_tokens})


UNSETTLED, MOST_SETTLED = 128, 1024
"""Tokens of the student's texts for whoever asks it before anything was shown to it, and the most that is settled."""


class DraftSampling(StudentSampling):
    """How the student samples what it is compared and criticised for."""

    top_p: float = Field(default=0.95, gt=0, le=1)
    """The share of probability that tokens are drawn from, the likeliest first."""
    max_tokens: int = Field(default=0, ge=0)
    """The most tokens to generate for one text. 0: settled by how long the teacher's demonstrations are."""


class AnswerSampling(DraftSampling):
    """How the student samples what it is judged by, and what it answers in use."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """The share of probability that tokens are drawn from, the likeliest first."""


class Message(BaseModel):
    """One chat message."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


def as_sent(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as JSON has them."""
    return [{"role": message.role, "content": message.content} for message in messages]


@dataclass(frozen=True)
class LLMRequest:
    """One question to a large model. Two requests with the same `key` are the same question and get the same reply."""

    role: Role
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    member: int = 0
    """Which of the role's models is asked: 0 is the role's own, further ones sit beside it on a jury."""
    ordinal: int = 0
    """Tells apart repeated asking of one question on purpose, as in sampled labels."""
    top_logprobs: int | None = None
    """How many alternatives to return for each token; None asks for no log-probabilities."""
    json_schema: dict[str, Any] | None = None
    """A schema the reply shall follow, where the endpoint can be told so."""
    score_prompt: bool = False
    """Ask for the log-probabilities of the prompt's own tokens (the contents of the messages, joined by a line break,
    as plain text) instead of a reply."""
    prompt_ids: tuple[int, ...] | None = None
    """With `score_prompt`, the prompt as token ids, in the messages' place: they say the same to people."""
    thought_alone: int = 0
    """Of a reply that was thought alone, and that is kept for what it took: its number, from 1. 0 for the question."""

    @cached_property
    def key(self) -> str:
        """The content key: the hash of everything that can change the reply."""
        return content_hash(
            {
                "role": self.role,
                "model": self.model,
                "member": self.member,
                "messages": as_sent(self.messages),
                "sampling": self.sampling.model_dump(),
                "seed": self.seed,
                "ordinal": self.ordinal,
                "top_logprobs": self.top_logprobs,
                "json_schema": self.json_schema,
                "score_prompt": self.score_prompt,
                "prompt_ids": self.prompt_ids,
                **({"thought_alone": self.thought_alone} if self.thought_alone else {}),
            }
        )

    @cached_property
    def prompt_hash(self) -> str:
        """The hash of the exact messages that were sent."""
        return content_hash(as_sent(self.messages))


class TokenUsage(BaseModel):
    """Tokens as the endpoint counted them; 0 where it does not say."""

    model_config = ConfigDict(frozen=True)

    input: int = 0
    cached: int = 0
    output: int = 0
    """What was written, thoughts included."""
    reasoning: int = 0
    """Those of the output that were thoughts."""
    estimated: int = 0
    """Replies whose tokens no endpoint counted, so that they are estimated from their characters."""
    batched: int = 0
    """Replies that came in a provider's batch, which charges half."""


class TokenLogprob(BaseModel):
    """One token with its natural log-probability, and those of what might have stood in its place."""

    model_config = ConfigDict(frozen=True)

    token: str
    logprob: float | None
    """None where the endpoint gives none, as for a prompt's first token."""
    alternatives: dict[str, float] = Field(default_factory=dict)


_AT_THE_MOST_TOKENS = re.compile(
    r"length|max_?(?:\w+_)?tokens|token_?limit|context_(?:window|limit)|\Alimit\Z", re.IGNORECASE
)
_BROKEN_OFF = re.compile(
    r"filter|safety|sensitive|recitation|guardrail|prohibited|block|spii|refus|moderat|toxic|malformed"
    r"|error|abort|cancel|time_?out|insufficient|overload|interrupt|truncat|disconnect",
    re.IGNORECASE,
)
"""Filters, and faults of the server's own."""


def at_the_most_tokens(finish_reason: str | None) -> bool:
    """Whether a reply with this reason for its end had reached the most tokens."""
    return _AT_THE_MOST_TOKENS.search(finish_reason or "") is not None


class LLMReply(BaseModel):
    """What a large model answered, with everything needed to look at it again."""

    model_config = ConfigDict(frozen=True)

    text: str
    """The answer alone, without what the model thought before it."""
    thought: str = ""
    """What the model said to itself before it answered."""
    model: str
    """The model as the endpoint resolved it."""
    finish_reason: str | None = None
    usage: TokenUsage = TokenUsage()
    latency_ms: float = 0.0
    """From the first attempt's sending to the reply, waits for retries included."""
    retries: int = 0
    token_logprobs: tuple[TokenLogprob, ...] | None = None
    """The answer's tokens in order; None where the endpoint gives no log-probabilities of them."""
    prompt_logprobs: tuple[TokenLogprob, ...] | None = None
    """The prompt's tokens in order, for a request with `score_prompt`; None where not to be had."""
    raw: dict[str, Any] = Field(default_factory=dict)
    """What the endpoint sent but its log-probabilities, as stores take it, and what was done with it."""

    @property
    def cut_off(self) -> bool:
        """Whether it ended because it had reached the most tokens."""
        return at_the_most_tokens(self.finish_reason)

    @property
    def declined(self) -> bool:
        """Whether the endpoint itself says that the model declines."""
        return (self.finish_reason or "").lower() == "refusal"

    @property
    def complete(self) -> bool:
        """Whether it ended by itself: neither at the most tokens, nor by a filter or a fault of the endpoint's."""
        return not self.cut_off and not _BROKEN_OFF.search(self.finish_reason or "")


@dataclass(frozen=True)
class GenerationRequest:
    """One thing for the student to say. The same request to the same adapter gives the same text."""

    id: str
    messages: tuple[Message, ...]
    sampling: StudentSampling
    seed: int
    adapter: int
    """The adapter version to generate with; 0 is the bare base model."""
    beam: int = 0
    """Which of the search's beams is wanted, 0 the best. Requests that differ in id and beam alone share a search."""
    hurried: bool = False
    """Whether a server that does not answer it in time is asked once more at most: it finds out whose fault that is."""

    def __post_init__(self) -> None:
        if not self.sampling.max_tokens:
            raise ValueError(f"{self.id}: how long the text may be is not settled yet")

    @cached_property
    def prompt_hash(self) -> str:
        """The hash of the exact messages that it is asked."""
        return content_hash(as_sent(self.messages))


@dataclass(frozen=True, slots=True)
class Generation:
    """What the student said."""

    request_id: str
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    adapter_version: int
    finish_reason: Literal["stop", "length"]
    queue_ms: float
    latency_ms: float
    worker: str
    batch_limit: int | None = None
    """The most sequences at a time that memory lets the engine have by now; None: as many as were asked for."""


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """Where a committed adapter lies. Version 0 has no folder: it is the base model itself."""

    version: int
    uri: str | None
    sha256: str | None = None
    """The hash of the adapter's manifest."""


NO_ADAPTER = AdapterRef(version=0, uri=None)


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One thing to learn from: a text, a preference, or a longer ranking."""

    id: str
    messages: tuple[Message, ...]
    completions: tuple[str, ...]
    """The best first: one text to imitate, chosen and rejected, or a ranking."""
    target: str | None = None
    """A text of the teacher's for the same input: what a likelihood term beside a ranking learns."""
    margin: float = 0.0
    """How sure the critic was, |p - 1/2| * 2, in [0, 1]; 0 for a demonstration."""
    unfinished: tuple[int, ...] = ()
    """Places of the completions that were cut off at the most tokens: where they stop, no text ends."""
    token_ids: tuple[int, ...] = ()
    """Of a draft of the student's, its tokens as they were sampled, the one that ended it included."""
    teacher_logprobs: tuple[float, ...] = ()
    """The teacher's natural log-probability of each of these, given the prompt and those before it."""

    @property
    def chosen(self) -> str:
        """The best text."""
        return self.completions[0]


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """What a training reports when it is done, all its phases together."""

    steps: int
    examples: int
    """Examples that were trained on or held out."""
    tokens: int
    """Tokens that were trained on, prompts included, padding excluded."""
    seconds: float
    final_loss: float
    """The mean over the last tenth of the steps."""
    curve: tuple[dict[str, float], ...] = field(default=())
    """One row per optimizer step: step (counted through all phases), phase (from 1), loss, learning_rate, tokens (from
    the start), holdout_loss where it was looked at, and what the objective adds."""
    left_out: tuple[str, ...] = ()
    """Ids of examples with a text beyond max_length, or beyond what the student tells the places of."""
    held_out: int = 0
    """Examples that were held out to stop by."""
    stopped_early: bool = False
    """Whether training ended before its last step because the held-out loss no longer fell."""
    best_step: int | None = None
    """The step whose state was kept, 0 for the state before the first; None where nothing was held out."""
    holdout_loss: float | None = None
    """The held-out loss of the state that was kept."""
    micro_batch_size: int | None = None
    """Examples at a time that memory let it go on with; None: as it was set."""

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "TrainingMetrics":
        """What `dataclasses.asdict` made of some, also once it was written as JSON and read.

        Raises:
            KeyError or TypeError: these are no such facts.
        """
        return cls(**{**facts, "curve": tuple(facts["curve"]), "left_out": tuple(facts["left_out"])})

    def as_json(self) -> dict[str, Any]:
        """Everything but the curve; of what was left out, how much it is."""
        facts = {name: value for name, value in asdict(self).items() if name != "curve"}
        return facts | {"left_out": len(self.left_out)}


@dataclass(frozen=True, slots=True)
class JudgedOutput:
    """An output that the judge compared with a reference, mostly the teacher's, in both orders."""

    input_id: str
    source: str
    """The input's words."""
    text: str
    reference: str
    """What it was compared with."""
    outcome: Outcome
    """Before the judge, from both orders; orders that disagree are a tie."""
    consistent: bool
    """Whether both orders agreed."""
    length_ratio: float = 1.0
    """Words of the output over words of the input."""
    seed: int = 0
    """Of the training."""
    critic: Outcome | None = None
    """The same by the critic that was trained against; None where it was not asked."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """What each scorer gave the text, by name; one that failed on it is missing."""
    dialogue_id: str = ""
    """Where it was said."""

    @property
    def place(self) -> tuple[str, int]:
        """Which input and seed it is of."""
        return self.input_id, self.seed

    @property
    def credit(self) -> float:
        """1 for a win or a tie, else 0: what the win-tie rate averages."""
        return credit(self.outcome)


def credit(outcome: Outcome | None) -> float:
    """1 for a win or a tie, else 0: what the win-tie rate averages."""
    return 0.0 if outcome == "loss" else 1.0


RatedPairs = Literal["test", "dialogues"]
"""Which pairs people rate: the student's outputs on test inputs against the teacher's, which the judge compared, or
those that the critic compared in dialogues."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person said of a pair without knowing whose the texts are."""

    rater: str
    outcome: Outcome | None
    """How the pair's first text fared against the second; None where the person passed it over."""
    first_left: bool
    """Whether the first text stood on the left."""


@dataclass(frozen=True, slots=True)
class RatedPair:
    """Two texts, what the critic (of test pairs: the judge) said of them, and what people did."""

    version: int | None
    """The adapter whose output the first text is; None for a pair of a dialogue."""
    outcome: Outcome
    """How the first text fared before the critic."""
    p_forward: float
    """The critic's p(first better) with the first text shown first."""
    p_reverse: float
    """The critic's p(first better) with the first text shown second."""
    first_length: int
    """In words."""
    second_length: int
    ratings: tuple[Rating, ...]
    """At most one of each person."""
