"""The agents themselves: teacher, critic, judge and student. Each turns a task's prompts into requests.

They keep no state and store nothing; what they return says everything about where it came from.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import derive_seed
from ..core.records import GenerationRequest, LLMRequest, Message, Role, Sampling
from .critique import CRITIQUE_SCHEMA, CritiqueText, parse_critique
from .llm import LLM, Exchange
from .task import PromptTemplate, Task
from .verdict import Verdict, combine_orders

LABEL_ALTERNATIVES = 20
"""Alternatives asked for beside a verdict's label; the most that OpenAI's API gives."""
LABEL_SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=2)


class LLMAgent:
    """What the three roles of large models share: a task, a model, a client and the run's seed."""

    role: Role

    def __init__(self, task: Task, llm: LLM, model: str, seed: int) -> None:
        self.task, self.llm, self.model, self.seed = task, llm, model, seed

    async def _ask(
        self, purpose: str, sampling: Sampling, *, ordinal: int = 0, options: "_Options", **values: object
    ) -> Exchange:
        messages = self.task.render(self.role, purpose, **values)
        request = LLMRequest(
            role=self.role,
            model=self.model,
            messages=messages,
            sampling=sampling,
            seed=derive_seed(self.seed, self.role, purpose, ordinal),
            ordinal=ordinal,
            top_logprobs=options.top_logprobs,
            json_schema=options.json_schema,
        )
        return Exchange(request, await self.llm.complete(request), self.task.template(self.role, purpose))


@dataclass(frozen=True, slots=True)
class _Options:
    top_logprobs: int | None = None
    json_schema: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The outputs of one reply of the teacher; fewer than asked for when it wrote fewer, none when it refused."""

    exchange: Exchange
    texts: tuple[str, ...]


class Teacher(LLMAgent):
    """Writes demonstrations."""

    role: Role = "teacher"

    async def demonstrate(
        self, text: str, count: int, *, heard: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """`count` different outputs for one input, asked for in one request; invalid ones are left out."""
        sampling = self.task.file.sampling.teacher
        exchange = await self._ask(
            "demonstrate", sampling, ordinal=ordinal, options=_Options(), input=text, count=count, heard=list(heard)
        )
        reply = exchange.reply.text
        outputs = self.task.numbered_list(reply, count) if count > 1 else [self.task.clean(reply)]
        seen: dict[str, None] = dict.fromkeys(output for output in outputs if not self.task.refused(output))
        return Demonstrations(exchange, tuple(seen))


class PairwiseJudge(LLMAgent):
    """Compares two outputs in both orders."""

    async def compare(
        self, text: str, first: str, second: str, *, tie_margin: float, heard: Sequence[str] = ()
    ) -> Verdict:
        """The verdict on `first` against `second`. Raises ReplyError when a reply names no label."""
        options = _Options(top_logprobs=LABEL_ALTERNATIVES)
        forward, reverse = await asyncio.gather(
            *(
                self._ask(
                    "compare", LABEL_SAMPLING, options=options, input=text, first=one, second=other, heard=list(heard)
                )
                for one, other in ((first, second), (second, first))
            )
        )
        return combine_orders(forward, reverse, tie_margin)


class Critic(PairwiseJudge):
    """Judges the student during training, and says in words what a draft lacks."""

    role: Role = "critic"

    async def criticise(self, text: str, draft: str, *, heard: Sequence[str] = ()) -> tuple[Exchange, CritiqueText]:
        """A written critique of one draft."""
        exchange = await self._ask(
            "critique",
            self.task.file.sampling.critique,
            options=_Options(json_schema=dict(CRITIQUE_SCHEMA)),
            input=text,
            draft=draft,
            heard=list(heard),
        )
        return exchange, parse_critique(exchange.reply.text)


class Judge(PairwiseJudge):
    """Compares for evaluation alone; the student is never trained on what it says."""

    role: Role = "judge"


class StudentAgent:
    """Turns inputs and critiques into requests to the student."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    def prompt(self, text: str) -> tuple[Message, ...]:
        """What the student is asked, in training as in use."""
        return self.task.render("student", "draft", input=text)

    def draft(self, request_id: str, text: str, sampling: Sampling, adapter: int | None) -> GenerationRequest:
        """A request for one output. The seed follows from the request's id."""
        return GenerationRequest(request_id, self.prompt(text), sampling, derive_seed(self.seed, request_id), adapter)

    def revise(
        self, request_id: str, text: str, draft: str, suggestion: str, sampling: Sampling, adapter: int | None
    ) -> GenerationRequest:
        """A request for a revision: the conversation so far, then the critic's suggestion."""
        asked = self.task.render("student", "revise", input=text, suggestion=suggestion)
        messages = (*self.prompt(text), Message(role="assistant", content=draft), asked[-1])
        return GenerationRequest(request_id, messages, sampling, derive_seed(self.seed, request_id), adapter)

    def template(self, purpose: str) -> PromptTemplate:
        """The prompt template of a draft or a revision."""
        return self.task.template("student", purpose)
