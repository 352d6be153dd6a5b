"""Replies and exchanges as a client hands them over."""

import math

from openmic.agents.llm import Exchange
from openmic.agents.task import PromptTemplate
from openmic.core.records import LLMReply, LLMRequest, Sampling

TEMPLATE = PromptTemplate("humor", "critic", "compare", 1, "x")


def reply(text: str = "1", **probabilities: float) -> LLMReply:
    """A reply; the probabilities are those of its first token, `_1` standing for " 1" and so on."""
    logprobs = {name.replace("_", " "): math.log(p) if p else -9999.0 for name, p in probabilities.items()}
    return LLMReply(text=text, model="m", first_token_logprobs=logprobs or None)


def exchange(answer: LLMReply) -> Exchange:
    return Exchange(LLMRequest("critic", "m", (), Sampling(), 0), answer, TEMPLATE)
