"""The contract of a large model: `await llm.complete(request)`.

Whoever implements it answers the same request the same way, or raises one of openmic's errors. The client over HTTP is
in `agents.endpoints.client`; the graph wraps it with one that commits every reply to the store before it is used.
"""

from dataclasses import dataclass
from typing import Protocol

from ..core.records import LLMReply, LLMRequest, Role
from ..core.text import storable_text
from .tasks.task import PromptTemplate


class LLM(Protocol):
    """Anything that answers requests to large models."""

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The reply. Raises EndpointError when there is none to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its reply and the prompt template it was made from: what a turn records of its origin."""

    request: LLMRequest
    reply: LLMReply
    template: PromptTemplate


@dataclass(frozen=True, slots=True)
class PlugReply:
    """What a Python object that plays a role answered: a turn's origin where nobody was asked over HTTP."""

    role: Role
    use: str
    """The object as the run's record names it: `module:attribute`, or a name that ships."""
    text: str
    """What it answered, in words, as every store takes them."""
    latency_ms: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable_text(self.text))


Origin = Exchange | PlugReply
"""Where the words of a teacher's, critic's or judge's turn come from."""


def words_of(origin: Origin) -> str:
    """The whole of what was answered, as it was answered."""
    return origin.text if isinstance(origin, PlugReply) else origin.reply.text
