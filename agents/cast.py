"""The agents themselves: teacher, critic, judge and student. Each turns a task's prompts into requests.

They keep no state and store nothing; what they return says everything about where it came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.config import VerdictSettings
from ..core.ids import derive_seed
from ..core.records import GenerationRequest, Message, Role, StudentSampling
from .critique import CRITIQUE_SCHEMA, REMINDER, Critique, parse_critique
from .llm import LLM, Exchange
from .llm_agent import Asking, LLMAgent
from .tasks.task import PromptTemplate, Task
from .verdicts.pairwise import PairwiseJudge


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The outputs of one reply of the teacher; fewer than asked for when it wrote fewer, none when it refused."""

    exchange: Exchange
    texts: tuple[str, ...]


class Teacher(LLMAgent):
    """Writes demonstrations."""

    role: Role = "teacher"

    def __init__(self, task: Task, llm: LLM, model: str, seed: int) -> None:
        super().__init__(task, llm, seed)
        self.model = model

    async def demonstrate(
        self, text: str, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """`count` different outputs for one input, asked for in one request; invalid ones are left out."""
        asking = Asking(self.task.file.sampling.teacher, ordinal=ordinal)
        exchange = await self.ask(self.model, "demonstrate", asking, input=text, count=count, overused=list(overused))
        reply = exchange.reply.text
        outputs = self.task.numbered_list(reply, count) if count > 1 else [self.task.clean(reply)]
        seen: dict[str, None] = dict.fromkeys(output for output in outputs if not self.task.refused(output))
        return Demonstrations(exchange, tuple(seen))


class Critic(PairwiseJudge):
    """Judges the student during training, beside a jury if there is one, and says in words what a draft lacks."""

    role: Role = "critic"

    async def criticise(
        self, text: str, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[Exchange, Critique]:
        """A written critique of one draft by the first of the critics, and what could be read of it.

        Another `attempt` at the same draft gets another critique.

        A reply without a suggestion is asked for again, once; then the one that says more is taken. Never fails for
        what a reply says: a critique may be empty, and what the student is told then is `critique.advice`.
        """
        asking = Asking(self.task.file.sampling.critique, ordinal=2 * attempt, json_schema=CRITIQUE_SCHEMA)
        values: dict[str, object] = {"input": text, "draft": draft, "overused": list(overused)}
        exchange, written = await self._critique(asking, values)
        if written.parsed:
            return exchange, written
        sampling = asking.sampling
        if exchange.reply.finish_reason == "length":
            sampling = sampling.model_copy(update={"max_tokens": 2 * sampling.max_tokens})
        again = await self._critique(
            replace(asking, sampling=sampling, ordinal=asking.ordinal + 1, reminder=REMINDER), values
        )
        return again if again[1].worth > written.worth else (exchange, written)

    async def _critique(self, asking: Asking, values: dict[str, object]) -> tuple[Exchange, Critique]:
        exchange = await self.ask(self.models[0], "critique", asking, **values)
        reply = exchange.reply.text
        return exchange, parse_critique("" if self.task.refused(reply) else reply)


class Judge(PairwiseJudge):
    """Compares for evaluation alone; the student is never trained on what it says."""

    role: Role = "judge"

    def __init__(self, task: Task, llm: LLM, model: str, seed: int, settings: VerdictSettings) -> None:
        super().__init__(task, llm, [model], seed, settings)


class StudentAgent:
    """Turns inputs and critiques into requests to the student."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    def prompt(self, text: str) -> tuple[Message, ...]:
        """What the student is asked, in training as in use."""
        return self.task.render("student", "draft", input=text)

    def draft(self, request_id: str, text: str, sampling: StudentSampling, adapter: int) -> GenerationRequest:
        """A request for one output. The seed follows from the request's id."""
        return GenerationRequest(request_id, self.prompt(text), sampling, derive_seed(self.seed, request_id), adapter)

    def candidates(
        self, request_ids: Sequence[str], text: str, sampling: StudentSampling, adapter: int
    ) -> list[GenerationRequest]:
        """Requests for several outputs: sampled one by one, or the best beams of one search."""
        requests = [self.draft(request_id, text, sampling, adapter) for request_id in request_ids]
        if sampling.num_beams == 1:
            return requests
        return [replace(request, seed=requests[0].seed, beam=place) for place, request in enumerate(requests)]

    def revise(
        self, request_id: str, text: str, draft: str, suggestion: str, sampling: StudentSampling, adapter: int
    ) -> GenerationRequest:
        """A request for a revision: the conversation so far, then the critic's suggestion."""
        asked = self.task.render("student", "revise", input=text, suggestion=suggestion)
        messages = (*self.prompt(text), Message(role="assistant", content=draft), asked[-1])
        return GenerationRequest(request_id, messages, sampling, derive_seed(self.seed, request_id), adapter)

    def template(self, purpose: str) -> PromptTemplate:
        """The prompt template of a draft or a revision."""
        return self.task.template("student", purpose)
