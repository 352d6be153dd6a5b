"""From what an OpenAI-compatible endpoint sends back to openmic's own record of a reply."""

from collections import Counter
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from ...core.records import LLMReply, LLMRequest, TokenLogprob, TokenUsage, at_the_most_tokens
from .body import first_choice, read_usage, read_word
from .logprobs import read_logprobs
from .reading import answer_tokens, read_message, refused_with


def chat_reply(
    request: LLMRequest, message: AIMessage, latency_ms: float, retries: int, left_out: list[str]
) -> LLMReply:
    """The reply in a chat completion.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the body is not what the protocol says.
    """
    metadata, more = dict(message.response_metadata), dict(message.additional_kwargs)
    sent, unreadable = more.pop("sent", {"content": message.content}), more.pop("unreadable", {})
    said = read_message(sent, cut_off=at_the_most_tokens(metadata.get("finish_reason")))
    tokens = _chat_logprobs(metadata.pop("logprobs", None))
    usage = message.usage_metadata
    return LLMReply(
        text=said.answer,
        thought=said.thought,
        model=str(metadata.get("model_name") or request.model),
        finish_reason="refusal" if refused_with(sent) else metadata.get("finish_reason"),
        usage=_usage(usage) if usage else TokenUsage(),
        latency_ms=latency_ms,
        retries=retries,
        token_logprobs=answer_tokens(tokens, said) or None,
        raw={
            "message": sent,
            "response_metadata": metadata,
            "additional_kwargs": more,
            **({"unreadable": unreadable} if unreadable else {}),
            **({"left_out": left_out} if left_out else {}),
        },
    )


def _usage(counted: UsageMetadata) -> TokenUsage:
    """The tokens as they are charged: some providers count thoughts in the total alone, beside what was written."""
    written = counted["output_tokens"]
    read = counted["input_tokens"] or max(0, counted["total_tokens"] - written)
    beside = max(0, counted["total_tokens"] - read - written)
    return TokenUsage(
        input=read,
        output=written + beside,
        cached=counted.get("input_token_details", {}).get("cache_read") or 0,
        reasoning=max(beside, counted.get("output_token_details", {}).get("reasoning") or 0),
    )


def scored_prompt(request: LLMRequest, body: dict[str, Any], latency_ms: float, retries: int) -> LLMReply | None:
    """The reply to a request with `score_prompt`; None where the endpoint did not score the prompt.

    Raises:
        ErrorInReplyError: the body is no reply.
    """
    left_out = Counter[str]()
    choice = first_choice(body)
    usage = read_usage(body.get("usage"), left_out) or {}
    written = usage.get("completion_tokens", 0)
    tokens = _chat_logprobs(read_logprobs(choice.get("logprobs"), left_out))
    prompt = tokens[: len(tokens) - written]
    if len(prompt) < 2:  # the reply's own token and nothing else: the endpoint does not echo
        return None
    model = read_word(body.get("model"), "model", left_out)
    return LLMReply(
        text="",
        model=model or request.model,
        finish_reason=read_word(choice.get("finish_reason"), "finish_reason", left_out),
        usage=TokenUsage(input=usage.get("prompt_tokens", 0), output=written),
        latency_ms=latency_ms,
        retries=retries,
        prompt_logprobs=tuple(token.model_copy(update={"alternatives": {}}) for token in prompt),
        raw={
            "id": read_word(body.get("id"), "id", left_out),
            "model": model,
            **({"unreadable": dict(+left_out)} if +left_out else {}),
        },
    )


def _chat_logprobs(logprobs: dict[str, Any] | None) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token=item["token"],
            logprob=item["logprob"],
            alternatives={other["token"]: other["logprob"] for other in item["top_logprobs"]},
        )
        for item in (logprobs or {}).get("content", ())
    )
