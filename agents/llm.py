"""The contract of a large model: `await llm.complete(request)`.

Whoever implements it answers the same request the same way, or raises one of openmic's errors. The client over HTTP is
in `agents.endpoints.client`; the graph wraps it with one that commits every reply to the store before it is used.
"""

from dataclasses import dataclass
from typing import Protocol

from ..core.records import LLMReply, LLMRequest
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
