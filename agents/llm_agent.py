"""What the roles of large models share: turning a task's prompt into a request, and its reply into an exchange."""

from dataclasses import dataclass, field
from typing import Any

from ..core.ids import derive_seed
from ..core.records import LLMRequest, Message, Role, Sampling
from .llm import LLM, Exchange
from .tasks.task import Task


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request asks for beside its prompt: see the fields of `LLMRequest`."""

    sampling: Sampling
    member: int = 0
    ordinal: int = 0
    top_logprobs: int | None = None
    json_schema: dict[str, Any] | None = field(default=None, hash=False)
    score_prompt: bool = False
    reminder: str = ""
    """Words of openmic's own after the prompt, where an earlier reply missed what the prompt asks for."""


class LLMAgent:
    """A task, a client and the run's seed. Keeps no state and stores nothing."""

    role: Role

    def __init__(self, task: Task, llm: LLM, seed: int) -> None:
        self.task, self.llm, self.seed = task, llm, seed

    async def ask(self, model: str, purpose: str, asking: Asking, **values: object) -> Exchange:
        """Put one of the role's prompts to a model.

        Raises:
            TaskError: the task has no prompt for that purpose.
            EndpointError: there is no reply to be had.
        """
        template = self.task.template(self.role, purpose)
        messages = self.task.render(self.role, purpose, **values)
        if asking.reminder:
            last = messages[-1]
            messages = (*messages[:-1], Message(role=last.role, content=f"{last.content}\n\n{asking.reminder}"))
        which = (asking.ordinal, asking.member) if asking.member else (asking.ordinal,)
        request = LLMRequest(
            role=self.role,
            model=model,
            messages=messages,
            sampling=asking.sampling,
            seed=derive_seed(self.seed, self.role, purpose, *which),
            member=asking.member,
            ordinal=asking.ordinal,
            top_logprobs=asking.top_logprobs,
            json_schema=asking.json_schema,
            score_prompt=asking.score_prompt,
        )
        return Exchange(request, await self.llm.complete(request), template)
