"""Asking an endpoint's model which of two texts is better: in both orders, in the style that is configured.

What is asked follows from the configuration and from earlier replies of the same comparison alone, so that a run which
is taken up again asks the same questions. What replies say is read in `labels` and `cloze`, what they add up to is in
`verdict`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.dialogue_settings import VerdictSettings
from ...core.errors import ReplyError
from ...core.records import Input, Role, Sampling, VerdictMethod
from ..llm import LLM, Exchange
from ..llm_agent import Asking, LLMAgent
from ..tasks.task import Task
from .cloze import preference
from .labels import Label, LabelStyle, read_label, undecided
from .verdict import Ballot, Opinion, opinion

LABEL_ALTERNATIVES = 20
"""Alternatives asked for beside a verdict's label; the most that OpenAI's API gives."""
PURPOSES: Mapping[LabelStyle, str] = {"label": "compare", "reason": "reason"}
"""By which of a task's prompts a style is asked."""
MOST_TOKENS: Mapping[LabelStyle, int] = {"label": 2, "reason": 300}
FURTHER_TRIES = 2
"""How often a reply that names no label, or declines, is asked for again."""
MOST_TOKENS_AGAIN = 1024
"""Then with room for those that cannot help thinking aloud first."""
SCORING = Sampling(temperature=0.0, max_tokens=1)


class EndpointJuror(LLMAgent):
    """One model of an endpoint's that compares two outputs."""

    def __init__(
        self, task: Task, llm: LLM, role: Role, model: str, member: int, seed: int, settings: VerdictSettings
    ) -> None:
        super().__init__(task, llm, seed)
        self.role, self.model, self.member, self.settings = role, model, member, settings

    async def opinion(self, source: Input, first: str, second: str, *, overused: Sequence[str] = ()) -> Opinion:
        """What the model thinks of `first` against `second`, two outputs for the input `source`, from both orders.

        Raises:
            ReplyError: a reply names no label, however often it is asked for.
            TaskError: the task has no prompt for the style of verdict that is configured.
            EndpointError: the model does not answer, or cannot do what the style needs.
        """
        if self.settings.style == "cloze":
            ballots = await self._scored(source, first, second)
        else:
            style: LabelStyle = self.settings.style
            forward, reverse = await asyncio.gather(
                *(
                    self._labelled(style, {"input": source, "first": one, "second": other, "overused": list(overused)})
                    for one, other in ((first, second), (second, first))
                )
            )
            turned = [replace(ballot, forward=False, p_first=1 - ballot.p_first) for ballot in reverse]
            ballots = [*forward, *turned]
        one_sided = self.settings.orders == "first" and self.role != "judge"
        return opinion(ballots, self.settings.tie_margin, one_sided=one_sided)

    async def _scored(self, source: Input, first: str, second: str) -> list[Ballot]:
        asking = Asking(SCORING, member=self.member, score_prompt=True)
        one, other = await asyncio.gather(
            *(self.ask(self.model, "cloze", asking, input=source, text=output) for output in (first, second))
        )
        p = preference(one.reply, other.reply)
        return [Ballot(one, self.member, True, p, "cloze"), Ballot(other, self.member, False, p, "cloze")]

    async def _labelled(self, style: LabelStyle, values: dict[str, object]) -> list[Ballot]:
        """One order's replies, as if the text shown first were A: one, or several where no probabilities are given."""
        exchange, first = await self._label(style, 0, values)
        if first.method == "logprobs" or self.settings.samples == 1:
            return [self._ballot(exchange, first, first.method)]
        further = await asyncio.gather(
            *(self._label(style, sample, values) for sample in range(1, self.settings.samples))
        )
        return [self._ballot(exchange, label, "sampled") for exchange, label in ((exchange, first), *further)]

    def _ballot(self, exchange: Exchange, label: Label, method: VerdictMethod) -> Ballot:
        return Ballot(exchange, self.member, True, label.p_one, method, label.mass, label.answers)

    async def _label(self, style: LabelStyle, sample: int, values: dict[str, object]) -> tuple[Exchange, Label]:
        """One reply that names a label; one that does not is asked for again.

        Where none does, the little that the labels had in a reply with log-probabilities is what there is to read.
        """
        # Labels are drawn, not decided, so that those of several replies make a probability. Where the endpoint gives
        # probabilities, which label was drawn makes no difference.
        temperature = 1.0 if self.settings.samples > 1 else 0.0
        most = self.settings.max_tokens or MOST_TOKENS[style]
        asking = Asking(
            Sampling(temperature=temperature, max_tokens=most),
            member=self.member,
            ordinal=sample,
            top_logprobs=LABEL_ALTERNATIVES if sample == 0 else None,
        )
        failure, little = ReplyError("not asked"), list[tuple[Exchange, Label]]()
        for _ in range(1 + FURTHER_TRIES):
            exchange = await self.ask(self.model, PURPOSES[style], asking, **values)
            said = exchange.reply.text
            if self.task.refused(said) and said.strip():
                failure = ReplyError(f"the {self.role} declines to compare: {said[:120]!r}")
            else:
                try:
                    return exchange, read_label(exchange.reply, style, self.settings.min_label_mass)
                except ReplyError as error:
                    failure = error
                if said and (label := undecided(exchange.reply)) is not None:
                    little.append((exchange, label))
            again = Sampling(temperature=1.0, max_tokens=max(most, MOST_TOKENS_AGAIN))
            asking = replace(asking, sampling=again, ordinal=asking.ordinal + self.settings.samples)
        if little:
            return little[0]
        raise failure
