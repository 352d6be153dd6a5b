"""Replies far beyond the tokens they were allowed: a server that ignores the limit is cut short."""

from ...core.records import LLMReply
from ...core.text import CHARACTERS_PER_TOKEN

_LONG_TOKEN = 8
_SLACK = 64


def overruns(reply: LLMReply, most_tokens: int) -> bool:
    """Whether a reply is so long that its endpoint cannot have kept to the limit."""
    if reply.token_logprobs is not None:
        return len(reply.token_logprobs) > most_tokens + _SLACK
    return len(reply.text) > _LONG_TOKEN * most_tokens + CHARACTERS_PER_TOKEN * _SLACK


def cut_to(reply: LLMReply, most_tokens: int) -> LLMReply:
    """The reply as it would have been with the limit kept: cut off, and marked as such."""
    tokens = None if reply.token_logprobs is None else reply.token_logprobs[:most_tokens]
    told = "" if tokens is None else "".join(token.token for token in tokens)
    text = told if told and reply.text.startswith(told) else reply.text[: CHARACTERS_PER_TOKEN * most_tokens]
    raw = {**reply.raw, "cut_from_characters": len(reply.text)}
    return reply.model_copy(update={"text": text, "token_logprobs": tokens, "finish_reason": "length", "raw": raw})
