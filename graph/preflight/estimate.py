"""What a run will ask of large models and pay for it, worked out from its prompts beforehand. Asks nobody.

Twice: what is likely, with replies of a usual length, and the most there can be, with replies as long as they may
be. Neither knows what an endpoint adds: thoughts of a reasoning model, and replies that have to be asked for again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...agents.critique import CRITIQUE_SCHEMA
from ...agents.tasks.task import Task
from ...agents.verdicts.pairwise import MOST_TOKENS, PURPOSES
from ...core.config import CriticSettings, RunConfig, TeacherSettings
from ...core.inputs import read_inputs
from ...core.records import MOST_SETTLED, Example, Role, Split, TokenUsage, input_words
from ...core.text import rough_tokens
from ...store.spending import Price
from ..context.budget import shown_amount
from ..context.plugs import Plugs
from ..context.prices import prices_of, seat_key, settings_key
from ..context.replies.batching import FEWEST
from ..context.seats import Seat, seats
from .work import Work, by_split, replies

LOOKED_AT = 50
"""Inputs whose prompts are rendered; the others are taken to be as long."""
USUAL_CRITIQUE = 100
"""Tokens of a critique."""
USUAL_REASON = 60
"""Tokens of a verdict with its reason."""
AROUND_AN_OUTPUT = 5
"""Tokens that a teacher writes beside each output: numbers, marks, line breaks."""
FALLING_BACK = 0.5
"""Share of dialogues in which the student does not get there, and the teacher demonstrates."""
ASSUMPTIONS = (
    "tokens: a quarter of a prompt's characters, one for each Chinese, Japanese or Korean character",
    f"likely: outputs as long as inputs, critiques of {USUAL_CRITIQUE} tokens, the teacher asked in half of the "
    "dialogues, and endpoints that give log-probabilities",
    "at most: every reply as long as it may be, and all labels sampled where it is not known whether an endpoint gives "
    "log-probabilities",
    "on top of both: thoughts of reasoning models, and replies that have to be asked for again",
)
Kind = Literal["likely", "at_most"]
AskingStage = Literal["demonstrate", "collect", "evaluate"]
"""The stages of a run that ask large models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Requests of one sort to one seat."""

    kind: Kind
    stage: AskingStage
    seat: Seat
    calls: float
    prompt: float
    """Tokens of each prompt."""
    reply: float
    """Tokens of each reply."""
    most: float
    """Tokens that a reply may have."""


def estimate(config: RunConfig, sizing: "Sizing") -> dict[str, Any]:
    """What a run takes of large models.

    Returns:
        `likely` and `at_most`, each with `calls`, `input_tokens`, `output_tokens` and `usd` (None where what a model
        charges is not known) in all and, under `roles`, of each role that an endpoint plays; `prices`, who says what is
        charged; `unpriced`, models of which nobody knows it, each with why; `assumes`, in words.

    Raises:
        TaskError: a prompt cannot be rendered.
    """
    prices = prices_of(config.cast)
    return {
        **{kind: _in_all(kind, sizing, prices) for kind in ("likely", "at_most")},
        "prices": sorted({price.source for price in prices.values() if price.per_million is not None}),
        "unpriced": {price.model: price.source for price in prices.values() if price.per_million is None},
        "assumes": [*ASSUMPTIONS, *_batches_assumed(config, sizing)],
    }


def sizing_of(config: RunConfig, *, as_if: int | None = None) -> "Sizing":
    """What a run would ask by its configuration alone.

    Args:
        config: The configuration.
        as_if: How many inputs there are to be taken to be, as those of the file. None: as many as there are.

    Raises:
        InputError: the inputs cannot be read.
        ConfigError, TaskError: the task cannot be had.
    """
    examples, _ = read_inputs(config.inputs)
    task = Plugs().task(config.task)
    task.check_inputs(config.inputs.field_names)
    return Sizing(config, task, examples, as_if=as_if)


def budget_notes(config: RunConfig, estimated: Mapping[str, Any], foreseen: Mapping[str, Any]) -> list[str]:
    """A line for each limit of the budget that a run will likely reach before its end.

    Args:
        config: The configuration.
        estimated: What the run takes, as `estimate` gives it.
        foreseen: How long it takes, as `forecast_of` gives it.
    """
    likely, notes = estimated["likely"], []
    wanted = {
        "tokens": likely["input_tokens"] + likely["output_tokens"],
        "usd": likely["usd"],
        "minutes": foreseen["seconds"] / 60,
    }
    for name, amount in wanted.items():
        limit = getattr(config.budget, name)
        if limit is not None and amount is not None and amount > limit:
            notes.append(
                f"the run likely takes {shown_amount(name, amount)}, and budget.{name} is {shown_amount(name, limit)}: "
                "it will stop before its end, and can be resumed with more"
            )
    return notes


def _batches_assumed(config: RunConfig, sizing: "Sizing") -> list[str]:
    """A line on the price of what goes into batches, where somebody is asked in them."""
    batched = [settings_key(config.cast, seat) for seat, settings in sizing.seats.items() if settings.batch]
    if not batched:
        return []
    halved = any(sizing.in_batches(requests) for requests in sizing.requests)
    likely = f"what goes into them ({FEWEST} requests or more) at half the price" if halved else "too little for any"
    names = ", ".join(f"{name}.batch" for name in dict.fromkeys(batched))
    return [f"batches ({names}): likely {likely}; at most: all at the full price; their time is in no figure"]


def _in_all(kind: Kind, sizing: "Sizing", prices: dict[str, Price]) -> dict[str, Any]:
    roles: dict[str, dict[str, Any]] = {}
    for seat in sizing.seats:
        asked = [requests for requests in sizing.requests if (requests.kind, requests.seat) == (kind, seat)]
        usage = usage_of(asked)
        batched = [requests for requests in asked if sizing.in_batches(requests)]
        parts = [usage_of([each for each in asked if each not in batched])]
        parts.append(usage_of(batched).model_copy(update={"batched": 1}))
        dollars = [prices[seat_key(seat)].dollars(part) for part in parts]
        own = {
            "calls": round(sum(requests.calls for requests in asked)),
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "usd": None if None in dollars else sum(cost for cost in dollars if cost is not None),
        }
        before = roles.get(seat[0])
        roles[seat[0]] = own if before is None else _sum([before, own])
    return {**_sum(list(roles.values())), "roles": roles}


def usage_of(asked: Sequence[Requests]) -> TokenUsage:
    """The tokens of requests, none of them cached or thought."""
    prompts = sum(requests.calls * requests.prompt for requests in asked)
    written = sum(requests.calls * requests.reply for requests in asked)
    return TokenUsage(input=round(prompts), output=round(written))


def _sum(parts: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("calls", "input_tokens", "output_tokens", "usd")
    columns = {name: [part[name] for part in parts] for name in names}
    return {name: None if None in column else sum(column) for name, column in columns.items()}


class Sizing:
    """How much a run has to do, and how long its texts are.

    Args:
        config: The configuration.
        task: Its task.
        examples: Its inputs.
        as_if: As for `sizing_of`.

    Raises:
        TaskError: a prompt cannot be rendered.
    """

    def __init__(self, config: RunConfig, task: Task, examples: Sequence[Example], *, as_if: int | None = None) -> None:
        self._config, self._task = config, task
        self.inputs = by_split(examples, as_if=as_if)
        """How many inputs each split has."""
        self.work = Work.of(config, self.inputs)
        """What there is to do, counted."""
        train = [example for example in examples if example.split is Split.TRAIN]
        self._shown = _evenly(train, LOOKED_AT), _evenly(examples, LOOKED_AT)
        self.seats = {seat: settings for seat, settings in seats(config.cast).items() if settings.asked}
        """Who is asked, where that is an endpoint."""
        self.output = min(
            _mean([rough_tokens(input_words(example.value)) for example in self._shown[1]]),
            config.settled().student.sampling.max_tokens,
        )
        """Tokens of a likely output: as many as an input has, no more than the student may write."""
        self.requests: list[Requests] = []
        """What is asked of large models: what is likely, and the most there can be."""
        self._demonstrate()
        if ("teacher", 0) in self.seats:
            self._score_drafts()
        for seat, settings in self.seats.items():
            if isinstance(settings, CriticSettings):
                self._compare(seat, settings)
        if ("critic", 0) in self.seats:
            self._criticise()

    def in_batches(self, requests: Requests) -> bool:
        """Whether requests cost half: those that are likely to come in batches, since one may expire unanswered."""
        compares = requests.seat[0] != "teacher"
        return (
            requests.kind == "likely"
            and self.seats[requests.seat].batch
            and requests.stage != "collect"
            and requests.calls >= FEWEST
            and not (compares and self._config.verdict.style == "cloze")
        )

    @property
    def student_prompt(self) -> float:
        """Tokens of what the student is asked about an input."""
        rendered = (self._task.render("student", "draft", input=example.value) for example in self._shown[0])
        return _mean([sum(rough_tokens(message.content) for message in messages) for messages in rendered])

    def _demonstrate(self) -> None:
        work, count = self.work, self._config.imitation.demonstrations
        writer: Seat = ("teacher", 1) if self._config.cast.references is not None else ("teacher", 0)
        fallback = self._config.dialogue.teacher_fallback and not self._config.training.from_drafts
        falls_back = work.dialogues if fallback else 0
        asked: list[tuple[AskingStage, Seat, int, int, float]] = [
            ("demonstrate", ("teacher", 0), count, work.demonstrated, 1.0),
            ("collect", ("teacher", 0), 1, falls_back, FALLING_BACK),
            ("demonstrate", writer, 1, work.dev + work.test, 1.0),
        ]
        for stage, seat, outputs, calls, share in asked:
            if (settings := self.seats.get(seat)) is None:
                continue
            assert isinstance(settings, TeacherSettings)
            most = settings.sampling.over(self._task.file.sampling.teacher).max_tokens
            prompt = self._prompt("teacher", "demonstrate", count=outputs)
            usual = min(most, outputs * (self.output + AROUND_AN_OUTPUT))
            self._ask("likely", stage, seat, share * calls, prompt, usual, most)
            self._ask("at_most", stage, seat, calls, prompt, most, most)

    def _score_drafts(self) -> None:
        """A draft is read by the teacher behind the student's prompt; an endpoint writes one token at least."""
        longest = self._config.settled(MOST_SETTLED).student.sampling.max_tokens
        kinds: list[tuple[Kind, float]] = [("likely", self.output), ("at_most", longest)]
        for kind, text in kinds:
            prompt = self.student_prompt + text
            self._ask(kind, "collect", ("teacher", 0), self.work.scored, prompt, 1.0, 1.0)

    def _compare(self, seat: Seat, settings: CriticSettings) -> None:
        style, role, work = self._config.verdict.style, seat[0], self.work
        kinds: list[tuple[Kind, float, bool | None]] = [
            ("likely", self.output, True),
            ("at_most", self._longest(role), None),
        ]
        judged: list[tuple[AskingStage, int]] = [("evaluate", work.evaluated)]
        beside = self._config.evaluation.best_of - 1 + self._config.evaluation.critic
        compared: list[tuple[AskingStage, int]] = [
            *(("demonstrate", work.paired), ("collect", work.compared)),
            ("evaluate", work.evaluated * beside),
        ]
        for kind, text, odds in kinds:
            if style == "cloze":
                most, prompt, reply = 1, self._prompt(role, "cloze", text=_text_of(text)), 1.0
            else:
                prompt = self._prompt(role, PURPOSES[style], first=_text_of(text), second=_text_of(text))
                most = self._config.verdict.max_tokens or MOST_TOKENS[style]
                reply = float(most if kind == "at_most" else min(most, USUAL_REASON if style == "reason" else 1))
            each = replies(self._config, settings, odds=odds)
            for stage, comparisons in judged if role == "judge" else compared:
                self._ask(kind, stage, seat, comparisons * each, prompt, reply, most)

    def _criticise(self) -> None:
        most = self._config.cast.critic.sampling.over(self._task.file.sampling.critique).max_tokens
        schema = rough_tokens(json.dumps(CRITIQUE_SCHEMA))
        kinds: list[tuple[Kind, float, int]] = [
            ("likely", self.output, min(most, USUAL_CRITIQUE)),
            ("at_most", self._longest("critic"), most),
        ]
        for kind, text, reply in kinds:
            prompt = self._prompt("critic", self._config.dialogue.critique, draft=_text_of(text)) + schema
            self._ask(kind, "collect", ("critic", 0), self.work.criticised, prompt, reply, most)

    def _ask(
        self, kind: Kind, stage: AskingStage, seat: Seat, calls: float, prompt: float, reply: float, most: float
    ) -> None:
        self.requests.append(
            Requests(kind=kind, stage=stage, seat=seat, calls=calls, prompt=prompt, reply=reply, most=most)
        )

    def _longest(self, role: Role) -> float:
        """Tokens of the longest text that is compared."""
        config = self._config.settled(MOST_SETTLED)
        sampling = config.evaluation.sampling if role == "judge" else config.student.sampling
        return max(sampling.max_tokens, self.output)

    def _prompt(self, role: Role, purpose: str, **values: object) -> float:
        """Tokens of a prompt about an input, on average."""
        shown = self._shown[1] if role == "judge" else self._shown[0]
        rendered = (self._task.render(role, purpose, input=example.value, overused=[], **values) for example in shown)
        return _mean([sum(rough_tokens(message.content) for message in messages) for messages in rendered])


def _text_of(tokens: float) -> str:
    """Something of that many tokens."""
    return "text" * max(1, round(tokens))


def _evenly(examples: Sequence[Example], number: int) -> Sequence[Example]:
    """So many of the inputs, from all over."""
    return examples[:: max(1, -(-len(examples) // number))]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
