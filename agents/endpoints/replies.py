"""From what an OpenAI-compatible endpoint sends back to openmic's own record of a reply."""

from typing import Any

from langchain_core.messages import AIMessage
from openai.types import Completion

from ...core.records import LLMReply, LLMRequest, TokenLogprob, TokenUsage


def chat_reply(
    request: LLMRequest, message: AIMessage, latency_ms: float, retries: int, left_out: list[str]
) -> LLMReply:
    """The reply in a chat completion.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the body is not what the protocol says.
    """
    metadata = dict(message.response_metadata)
    token_logprobs = _chat_logprobs(metadata.pop("logprobs", None))
    usage = message.usage_metadata
    text = _storable(message.content if isinstance(message.content, str) else str(message.text))
    return LLMReply(
        text=text,
        model=str(metadata.get("model_name") or request.model),
        finish_reason=metadata.get("finish_reason"),
        usage=TokenUsage(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage.get("input_token_details", {}).get("cache_read") or 0,
            reasoning=usage.get("output_token_details", {}).get("reasoning") or 0,
        )
        if usage
        else TokenUsage(),
        latency_ms=latency_ms,
        retries=retries,
        token_logprobs=token_logprobs,
        raw={
            "content": text,
            "response_metadata": metadata,
            "additional_kwargs": message.additional_kwargs,
            **({"left_out": left_out} if left_out else {}),
        },
    )


def scored_prompt(request: LLMRequest, completion: Completion, latency_ms: float, retries: int) -> LLMReply | None:
    """The reply to a request with `score_prompt`; None where the endpoint did not score the prompt.

    Raises:
        LookupError, TypeError, AttributeError: the body is not what the protocol says.
    """
    choice, usage = completion.choices[0], completion.usage
    written = usage.completion_tokens if usage else 0
    found = choice.logprobs
    if found is None or not found.tokens or not found.token_logprobs:
        return None
    pairs = list(zip(found.tokens, found.token_logprobs, strict=False))
    prompt = pairs[: len(pairs) - written]
    if len(prompt) < 2:  # the reply's own token and nothing else: the endpoint does not echo
        return None
    return LLMReply(
        text="",
        model=completion.model or request.model,
        finish_reason=choice.finish_reason,
        usage=TokenUsage(input=usage.prompt_tokens, output=written) if usage else TokenUsage(),
        latency_ms=latency_ms,
        retries=retries,
        prompt_logprobs=tuple(TokenLogprob(token=_storable(token), logprob=logprob) for token, logprob in prompt),
        raw={"id": completion.id, "model": completion.model, "object": completion.object},
    )


def _chat_logprobs(logprobs: Any) -> tuple[TokenLogprob, ...] | None:
    content = (logprobs or {}).get("content") or []
    tokens = tuple(
        TokenLogprob(
            token=_storable(item["token"]),
            logprob=item["logprob"],
            alternatives={_storable(other["token"]): other["logprob"] for other in item.get("top_logprobs") or ()},
        )
        for item in content
    )
    return tokens or None


def _storable(text: str) -> str:
    """The text without halves of surrogate pairs and NULs, which not every store takes, nor every endpoint."""
    return text.replace("\0", " ").encode(errors="replace").decode()
