"""Replies and exchanges as a client hands them over."""

import math

from openmic.agents.llm import Exchange, Origin
from openmic.agents.tasks.task import PromptTemplate
from openmic.core.records import LLMReply, LLMRequest, Sampling, TokenLogprob

TEMPLATE = PromptTemplate("humor", "critic", "compare", 1, "x")


def token(text: str, **probabilities: float) -> TokenLogprob:
    """A token; the probabilities are those of what might stand in its place, `_1` standing for " 1" and so on."""
    logprobs = {name.replace("_", " "): math.log(p) if p else -9999.0 for name, p in probabilities.items()}
    return TokenLogprob(token=text, logprob=logprobs.get(text, -0.5), alternatives=logprobs)


def reply(text: str = "1", **probabilities: float) -> LLMReply:
    """A reply; the probabilities are those of its first token."""
    return LLMReply(text=text, model="m", token_logprobs=(token(text, **probabilities),) if probabilities else None)


def exchange(answer: LLMReply) -> Exchange:
    return Exchange(LLMRequest("critic", "m", (), Sampling(), 0), answer, TEMPLATE)


def asked(origin: Origin) -> Exchange:
    """The exchange that words come from; whoever says them is no Python object."""
    assert isinstance(origin, Exchange)
    return origin
