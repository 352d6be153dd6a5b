"""The agents themselves: teacher, critic, judge and student, each an endpoint's model or a Python object.

They keep no state and store nothing; what they return says everything about where it came from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

from ..core.config import AS_THE_TASK_SAYS, SamplingOverrides
from ..core.ids import derive_seed
from ..core.records import GenerationRequest, Input, LLMReply, Message, Role, StudentSampling
from .critique import CRITIQUE_SCHEMA, REMINDER, Critique, parse_critique
from .llm import LLM, Exchange, Origin, words_of
from .llm_agent import Asking, LLMAgent
from .tasks.gates import REFUSAL
from .tasks.task import Output, PromptTemplate, Task
from .verdicts.jury import Jury

FURTHER_TRIES = 2
"""How often a teacher is asked again that wrote no answer."""
AGAIN = 1000
"""Sets the ordinals of asking again apart from those of rounds."""
MORE_ROOM = 4
"""By how much a reply of the teacher's that was cut off may be longer when it is asked for again."""


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """What one reply of the teacher holds: answers, by the gates of the student's drafts, and all else."""

    origin: Origin
    texts: tuple[str, ...]
    """Those that are answers; fewer than asked for where it wrote fewer, none where it refused."""
    turned_away: tuple[Output, ...] = ()
    """All else that it wrote, each with why it is no answer."""
    earlier: "tuple[Demonstrations, ...]" = ()
    """What replies held that were asked for before this one, and had no answer in them."""

    @classmethod
    def of(cls, origin: Origin, outputs: Sequence[Output]) -> Self:
        """The outputs of a reply, parted."""
        return cls(
            origin,
            tuple(output.text for output in outputs if output.problem is None),
            tuple(output for output in outputs if output.problem is not None),
        )

    @property
    def refused(self) -> bool:
        """Whether the teacher declined; one that wrote nothing did not."""
        return bool(self.turned_away) and all(output.problem == REFUSAL for output in self.turned_away)

    @property
    def reason(self) -> str:
        """Why there is none, where there is none."""
        reasons = Counter(output.problem for output in self.turned_away)
        said = ", ".join(f"{number} {problem}" for problem, number in reasons.items()) or "it wrote nothing"
        return f"{said}: {words_of(self.origin)[:120]!r}"


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

    def __init__(
        self,
        task: Task,
        llm: LLM,
        model: str,
        seed: int,
        *,
        place: int = 0,
        sampling: SamplingOverrides = AS_THE_TASK_SAYS,
    ) -> None:
        super().__init__(task, llm, seed)
        self.model, self.place = model, place
        self.sampling = sampling.over(task.file.sampling.teacher)

    async def demonstrate(
        self, source: Input, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """`count` different outputs for one input, asked for in one request; what is no answer is turned away.

        Where nothing is left it is asked again, unless it refuses; with more room where the reply was cut off.
        """
        asking = Asking(self.sampling, member=self.place, ordinal=ordinal)
        values: dict[str, object] = {"input": source, "count": count, "overused": list(overused)}
        earlier = list[Demonstrations]()
        for attempt in range(1, 2 + FURTHER_TRIES):
            shown, cut_off = await self._demonstrate(asking, source, count, values)
            if shown.texts or attempt > FURTHER_TRIES or shown.refused:
                break
            earlier.append(shown)
            sampling = asking.sampling
            if cut_off and sampling == self.sampling:
                sampling = sampling.model_copy(update={"max_tokens": MORE_ROOM * sampling.max_tokens})
            asking = replace(asking, sampling=sampling, ordinal=ordinal + attempt * AGAIN)
        return replace(shown, earlier=tuple(earlier))

    async def _demonstrate(
        self, asking: Asking, source: Input, count: int, values: dict[str, object]
    ) -> tuple[Demonstrations, bool]:
        exchange = await self.ask(self.model, "demonstrate", asking, **values)
        reply = exchange.reply
        outputs = [Output(" ".join(reply.text.split()), REFUSAL)] if reply.declined else None
        outputs = outputs or self.task.outputs(reply.text, source, count, cut_off=not reply.complete)
        return Demonstrations.of(exchange, outputs), reply.cut_off


class EndpointCritiques(LLMAgent):
    """A model of an endpoint's that writes critiques."""

    role: Role = "critic"

    def __init__(
        self,
        task: Task,
        llm: LLM,
        model: str,
        seed: int,
        *,
        sampling: SamplingOverrides = AS_THE_TASK_SAYS,
        purpose: Literal["critique", "hint"] = "critique",
    ) -> None:
        super().__init__(task, llm, seed)
        self.model, self.purpose = model, purpose
        self.sampling = sampling.over(task.file.sampling.critique)

    async def criticise(
        self, source: Input, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[Exchange, Critique]:
        """A written critique of one draft, and what could be read of it.

        A reply without a suggestion, or that was cut off, is asked for again, once; then the one that says more is
        taken. Never fails for what a reply says: a critique may be empty, and what the student is told then is
        `critique.advice`.
        """
        asking = Asking(self.sampling, ordinal=2 * attempt, json_schema=CRITIQUE_SCHEMA)
        values: dict[str, object] = {"input": source, "draft": draft, "overused": list(overused)}
        exchange, written = await self._critique(asking, values)
        broken = _ends_within(exchange.reply)
        if written.parsed and not broken:
            return exchange, written
        sampling = asking.sampling
        if exchange.reply.cut_off:
            sampling = sampling.model_copy(update={"max_tokens": 2 * sampling.max_tokens})
        again = await self._critique(
            replace(asking, sampling=sampling, ordinal=asking.ordinal + 1, reminder=REMINDER), values
        )
        whole = again[1].parsed and broken and not _ends_within(again[0].reply)
        return again if whole or again[1].worth > written.worth else (exchange, written)

    async def _critique(self, asking: Asking, values: dict[str, object]) -> tuple[Exchange, Critique]:
        exchange = await self.ask(self.model, self.purpose, asking, **values)
        reply = exchange.reply
        return exchange, parse_critique("" if reply.declined or self.task.refused(reply.text) else reply.text)


def _ends_within(reply: LLMReply) -> bool:
    """Whether a reply was cut off before it had said everything."""
    return not reply.complete and not reply.text.rstrip("` \n").endswith("}")


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
        system, asked = self.task.render("student", "draft", input=source)
        return (system, asked) if system.content else (asked,)

    def draft(self, request_id: str, source: Input, sampling: StudentSampling, adapter: int) -> GenerationRequest:
        """A request for one output. The seed follows from the request's id."""
        return self._request(request_id, self.prompt(source), sampling, adapter)

    def candidates(
        self, request_ids: Sequence[str], source: Input, sampling: StudentSampling, adapter: int
    ) -> list[GenerationRequest]:
        """Requests for several outputs: sampled one by one, or the best beams of one search."""
        prompt = self.prompt(source)
        requests = [self._request(request_id, prompt, sampling, adapter) for request_id in request_ids]
        if sampling.num_beams == 1:
            return requests
        return [replace(request, seed=requests[0].seed, beam=place) for place, request in enumerate(requests)]

    def revise(
        self, request_id: str, source: Input, draft: str, suggestion: str, sampling: StudentSampling, adapter: int
    ) -> GenerationRequest:
        """A request for a revision: the conversation so far, then the critic's suggestion."""
        asked = self.task.render("student", "revise", input=source, suggestion=suggestion)
        messages = (*self.prompt(source), Message(role="assistant", content=draft), asked[-1])
        return self._request(request_id, messages, sampling, adapter)

    def _request(
        self, request_id: str, messages: tuple[Message, ...], sampling: StudentSampling, adapter: int
    ) -> GenerationRequest:
        return GenerationRequest(request_id, messages, sampling, derive_seed(self.seed, request_id), adapter)

    def template(self, purpose: str) -> PromptTemplate:
        """The prompt template of a draft or a revision."""
        return self.task.template("student", purpose)
