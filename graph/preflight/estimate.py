"""What a run will ask of large models and pay for it, worked out from its prompts beforehand. Asks nobody.

Twice: what is likely, with replies of a usual length, and the most there can be, with replies as long as they may
be. Neither knows what an endpoint adds: thoughts of a reasoning model, and replies that have to be asked for again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...agents.critique import CRITIQUE_SCHEMA
from ...agents.tasks.task import Task
from ...agents.verdicts.pairwise import MOST_TOKENS, PURPOSES
from ...core.config import CriticSettings, RunConfig, TeacherSettings
from ...core.inputs import read_inputs
from ...core.records import Example, Role, Split, TokenUsage, input_words
from ...core.text import rough_tokens
from ...store.spending import Price
from ..context.budget import shown_amount
from ..context.plugs import Plugs
from ..context.prices import prices_of, seat_key
from ..context.seats import Seat, seats
from .work import Work, replies

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


@dataclass(slots=True)
class _Tally:
    """What one seat is asked, by kind of estimate."""

    calls: dict[Kind, float] = field(default_factory=lambda: {"likely": 0.0, "at_most": 0.0})
    read: dict[Kind, float] = field(default_factory=lambda: {"likely": 0.0, "at_most": 0.0})
    written: dict[Kind, float] = field(default_factory=lambda: {"likely": 0.0, "at_most": 0.0})

    def add(self, kind: Kind, calls: float, prompt: float, reply: float) -> None:
        """So many calls, each with a prompt and a reply of so many tokens."""
        self.calls[kind] += calls
        self.read[kind] += calls * prompt
        self.written[kind] += calls * reply

    def usage(self, kind: Kind) -> TokenUsage:
        """Its tokens, none of them cached or thought."""
        return TokenUsage(input=round(self.read[kind]), output=round(self.written[kind]))


def estimate(config: RunConfig, task: Task, examples: Sequence[Example]) -> dict[str, Any]:
    """What a run on these inputs takes.

    Returns:
        `likely` and `at_most`, each with `calls`, `input_tokens`, `output_tokens` and `usd` (None where what a model
        charges is not known) in all and, under `roles`, of each role that an endpoint plays; `prices`, who says what is
        charged; `unpriced`, models of which nobody knows it, each with why; `assumes`, in words.

    Raises:
        TaskError: a prompt cannot be rendered.
    """
    tallies, prices = _Estimating(config, task, examples).tallies(), prices_of(config.cast)
    return {
        **{kind: _in_all(kind, tallies, prices) for kind in ("likely", "at_most")},
        "prices": sorted({price.source for price in prices.values() if price.per_million is not None}),
        "unpriced": {price.model: price.source for price in prices.values() if price.per_million is None},
        "assumes": list(ASSUMPTIONS),
    }


def estimate_of(config: RunConfig) -> dict[str, Any]:
    """What a run would take by its configuration alone; see `estimate`.

    Raises:
        InputError: the inputs cannot be read.
        ConfigError, TaskError: the task cannot be had, or its prompts cannot be rendered.
    """
    examples, _ = read_inputs(config.inputs)
    task = Plugs().task(config.task)
    task.check_inputs(config.inputs.field_names)
    return estimate(config, task, examples)


def budget_notes(config: RunConfig, estimated: Mapping[str, Any]) -> list[str]:
    """A line for each limit of the budget that a run will likely reach before its end."""
    likely, notes = estimated["likely"], []
    wanted = {"tokens": likely["input_tokens"] + likely["output_tokens"], "usd": likely["usd"]}
    for name, amount in wanted.items():
        limit = getattr(config.budget, name)
        if limit is not None and amount is not None and amount > limit:
            notes.append(
                f"the run likely takes {shown_amount(name, amount)}, and budget.{name} is {shown_amount(name, limit)}: "
                "it will stop before its end, and can be resumed with more"
            )
    return notes


def _in_all(kind: Kind, tallies: dict[Seat, _Tally], prices: dict[str, Price]) -> dict[str, Any]:
    roles: dict[str, dict[str, Any]] = {}
    for seat, tally in tallies.items():
        usage = tally.usage(kind)
        own = {
            "calls": round(tally.calls[kind]),
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "usd": prices[seat_key(seat)].dollars(usage),
        }
        before = roles.get(seat[0])
        roles[seat[0]] = own if before is None else _sum([before, own])
    return {**_sum(list(roles.values())), "roles": roles}


def _sum(parts: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("calls", "input_tokens", "output_tokens", "usd")
    columns = {name: [part[name] for part in parts] for name in names}
    return {name: None if None in column else sum(column) for name, column in columns.items()}


class _Estimating:
    def __init__(self, config: RunConfig, task: Task, examples: Sequence[Example]) -> None:
        self._config, self._task, self._work = config, task, Work.of(config, examples)
        train = [example for example in examples if example.split is Split.TRAIN]
        self._shown = _evenly(train, LOOKED_AT), _evenly(examples, LOOKED_AT)
        self._seats = {seat: settings for seat, settings in seats(config.cast).items() if settings.asked}
        self._tallies = {seat: _Tally() for seat in self._seats}

    def tallies(self) -> dict[Seat, _Tally]:
        """What every seat is asked."""
        self._demonstrate()
        for seat, settings in self._seats.items():
            if isinstance(settings, CriticSettings):
                self._compare(seat, settings)
        if ("critic", 0) in self._seats:
            self._criticise()
        return self._tallies

    def _demonstrate(self) -> None:
        work, count = self._work, self._config.imitation.demonstrations
        writer: Seat = ("teacher", 1) if self._config.cast.references is not None else ("teacher", 0)
        falls_back = work.dialogues if self._config.dialogue.teacher_fallback else 0
        asked: list[tuple[Seat, int, int, float]] = [
            (("teacher", 0), count, work.demonstrated, 1.0),
            (("teacher", 0), 1, falls_back, FALLING_BACK),
            (writer, 1, work.dev + work.test, 1.0),
        ]
        for seat, outputs, calls, share in asked:
            if (settings := self._seats.get(seat)) is None:
                continue
            assert isinstance(settings, TeacherSettings)
            most = settings.sampling.over(self._task.file.sampling.teacher).max_tokens
            prompt = self._prompt("teacher", "demonstrate", count=outputs)
            usual = min(most, outputs * (self._output + AROUND_AN_OUTPUT))
            self._tallies[seat].add("likely", share * calls, prompt, usual)
            self._tallies[seat].add("at_most", calls, prompt, most)

    def _compare(self, seat: Seat, settings: CriticSettings) -> None:
        style, role = self._config.verdict.style, seat[0]
        compared = self._work.evaluated if role == "judge" else self._work.compared
        kinds: list[tuple[Kind, float, bool | None]] = [
            ("likely", self._output, True),
            ("at_most", self._longest(role), None),
        ]
        for kind, text, odds in kinds:
            if style == "cloze":
                prompt, reply = self._prompt(role, "cloze", text=_text_of(text)), 1.0
            else:
                prompt = self._prompt(role, PURPOSES[style], first=_text_of(text), second=_text_of(text))
                most = self._config.verdict.max_tokens or MOST_TOKENS[style]
                reply = float(most if kind == "at_most" else min(most, USUAL_REASON if style == "reason" else 1))
            self._tallies[seat].add(kind, compared * replies(self._config, settings, odds=odds), prompt, reply)

    def _criticise(self) -> None:
        most = self._config.cast.critic.sampling.over(self._task.file.sampling.critique).max_tokens
        schema = rough_tokens(json.dumps(CRITIQUE_SCHEMA))
        kinds: list[tuple[Kind, float, int]] = [
            ("likely", self._output, min(most, USUAL_CRITIQUE)),
            ("at_most", self._longest("critic"), most),
        ]
        for kind, text, reply in kinds:
            prompt = self._prompt("critic", "critique", draft=_text_of(text)) + schema
            self._tallies["critic", 0].add(kind, self._work.criticised, prompt, reply)

    @property
    def _output(self) -> float:
        """Tokens of an output: as many as an input has, no more than the student may write."""
        usual = _mean([rough_tokens(input_words(example.value)) for example in self._shown[1]])
        return min(usual, self._config.student.sampling.max_tokens)

    def _longest(self, role: Role) -> float:
        """Tokens of the longest text that is compared."""
        sampling = self._config.evaluation.sampling if role == "judge" else self._config.student.sampling
        return max(sampling.max_tokens, self._output)

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
