"""The agents themselves: teacher, critic, judge and student, each an endpoint's model or a Python object.

They keep no state and store nothing; what they return says everything about where it came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..core.ids import derive_seed
from ..core.records import GenerationRequest, Input, Message, Role, StudentSampling
from .critique import CRITIQUE_SCHEMA, REMINDER, Critique, parse_critique
from .llm import LLM, Exchange, Origin
from .llm_agent import Asking, LLMAgent
from .tasks.task import PromptTemplate, Task
from .verdicts.jury import Jury


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The outputs of one reply of the teacher; fewer than asked for when it wrote fewer, none when it refused."""

    origin: Origin
    texts: tuple[str, ...]


class Teacher(Protocol):
    """Whoever demonstrates."""

    async def demonstrate(
        self, source: Input, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """Up to `count` different outputs for one input; with another `ordinal` other ones, if there are any."""
        ...


class CritiqueWriter(Protocol):
    """Whoever says in words what a draft lacks."""

    async def criticise(
        self, source: Input, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[Origin, Critique]:
        """A critique of one draft; another `attempt` at the same draft gets another critique where there is one."""
        ...


class EndpointTeacher(LLMAgent):
    """A model of an endpoint's that writes demonstrations."""

    role: Role = "teacher"

    def __init__(self, task: Task, llm: LLM, model: str, seed: int, *, place: int = 0) -> None:
        super().__init__(task, llm, seed)
        self.model, self.place = model, place

    async def demonstrate(
        self, source: Input, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """`count` different outputs for one input, asked for in one request; refusals and repetitions are left out."""
        asking = Asking(self.task.file.sampling.teacher, member=self.place, ordinal=ordinal)
        exchange = await self.ask(self.model, "demonstrate", asking, input=source, count=count, overused=list(overused))
        reply = exchange.reply.text
        outputs = self.task.numbered_list(reply, count) if count > 1 else [self.task.clean(reply)]
        seen: dict[str, None] = dict.fromkeys(output for output in outputs if not self.task.refused(output))
        return Demonstrations(exchange, tuple(seen))


class EndpointCritiques(LLMAgent):
    """A model of an endpoint's that writes critiques."""

    role: Role = "critic"

    def __init__(self, task: Task, llm: LLM, model: str, seed: int) -> None:
        super().__init__(task, llm, seed)
        self.model = model

    async def criticise(
        self, source: Input, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[Exchange, Critique]:
        """A written critique of one draft, and what could be read of it.

        A reply without a suggestion is asked for again, once; then the one that says more is taken. Never fails for
        what a reply says: a critique may be empty, and what the student is told then is `critique.advice`.
        """
        asking = Asking(self.task.file.sampling.critique, ordinal=2 * attempt, json_schema=CRITIQUE_SCHEMA)
        values: dict[str, object] = {"input": source, "draft": draft, "overused": list(overused)}
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
        exchange = await self.ask(self.model, "critique", asking, **values)
        reply = exchange.reply.text
        return exchange, parse_critique("" if self.task.refused(reply) else reply)


class Critic:
    """Compares during training, and says in words what a draft lacks where it has a writer of critiques."""

    def __init__(self, jury: Jury, writer: CritiqueWriter | None) -> None:
        self._jury, self._writer = jury, writer
        self.compare = jury.compare

    @property
    def writes(self) -> bool:
        """Whether there is somebody to write critiques; without, dialogues have no revisions."""
        return self._writer is not None

    async def criticise(
        self, source: Input, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[Origin, Critique]:
        """A critique of one draft; needs a writer."""
        assert self._writer is not None, "asked for a critique without a writer"
        return await self._writer.criticise(source, draft, overused=overused, attempt=attempt)


class StudentAgent:
    """Turns inputs and critiques into requests to the student."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    def prompt(self, source: Input) -> tuple[Message, ...]:
        """What the student is asked, in training as in use."""
        return self.task.render("student", "draft", input=source)

    def draft(self, request_id: str, source: Input, sampling: StudentSampling, adapter: int) -> GenerationRequest:
        """A request for one output. The seed follows from the request's id."""
        return GenerationRequest(request_id, self.prompt(source), sampling, derive_seed(self.seed, request_id), adapter)

    def candidates(
        self, request_ids: Sequence[str], source: Input, sampling: StudentSampling, adapter: int
    ) -> list[GenerationRequest]:
        """Requests for several outputs: sampled one by one, or the best beams of one search."""
        requests = [self.draft(request_id, source, sampling, adapter) for request_id in request_ids]
        if sampling.num_beams == 1:
            return requests
        return [replace(request, seed=requests[0].seed, beam=place) for place, request in enumerate(requests)]

    def revise(
        self, request_id: str, source: Input, draft: str, suggestion: str, sampling: StudentSampling, adapter: int
    ) -> GenerationRequest:
        """A request for a revision: the conversation so far, then the critic's suggestion."""
        asked = self.task.render("student", "revise", input=source, suggestion=suggestion)
        messages = (*self.prompt(source), Message(role="assistant", content=draft), asked[-1])
        return GenerationRequest(request_id, messages, sampling, derive_seed(self.seed, request_id), adapter)

    def template(self, purpose: str) -> PromptTemplate:
        """The prompt template of a draft or a revision."""
        return self.task.template("student", purpose)
