"""From what an OpenAI-compatible endpoint sends back to openmic's own record of a reply."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from langchain_core.messages import AIMessage
from openai.types import Completion

from ...core.records import LLMReply, LLMRequest, TokenLogprob, TokenUsage
from .reading import Said, answer_tokens, read_message


def chat_reply(
    request: LLMRequest, message: AIMessage, latency_ms: float, retries: int, left_out: list[str]
) -> LLMReply:
    """The reply in a chat completion.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the body is not what the protocol says.
    """
    metadata, more = dict(message.response_metadata), dict(message.additional_kwargs)
    sent = more.pop("sent", {"content": message.content})
    reply = LLMReply(text="", model="", finish_reason=metadata.get("finish_reason"))
    said = read_message(sent, cut_off=reply.cut_off)
    said = Said(_storable(said.answer), _storable(said.thought))
    tokens = _chat_logprobs(metadata.pop("logprobs", None))
    usage = message.usage_metadata
    return LLMReply(
        text=said.answer,
        thought=said.thought,
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
        token_logprobs=answer_tokens(tokens, said) or None,
        raw={
            "message": _storable_all(sent),
            "response_metadata": metadata,
            "additional_kwargs": more,
            **({"left_out": left_out} if left_out else {}),
        },
    )


def with_earlier(reply: LLMReply, earlier: Sequence[LLMReply]) -> LLMReply:
    """A reply with what earlier replies to the same request took; each of them was thought alone."""
    if not earlier:
        return reply
    spent = [each.usage for each in (*earlier, reply)]
    names = type(reply.usage).model_fields
    usage = TokenUsage(**{name: sum(getattr(usage, name) for usage in spent) for name in names})
    raw = {**reply.raw, "thought_alone": [each.thought for each in earlier]}
    return reply.model_copy(update={"usage": usage, "raw": raw})


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


def _chat_logprobs(logprobs: Any) -> tuple[TokenLogprob, ...]:
    logprobs = logprobs or {}
    if "tokens" in logprobs:  # the completions endpoint's form, which some send with chat completions
        logprobs = {"content": _one_by_one(logprobs)}
    return tuple(
        TokenLogprob(
            token=_storable(item["token"]),
            logprob=item["logprob"],
            alternatives={_storable(other["token"]): other["logprob"] for other in item.get("top_logprobs") or ()},
        )
        for item in logprobs.get("content") or ()
    )


def _one_by_one(lists: dict[str, Any]) -> list[dict[str, Any]]:
    """Tokens that came as a list of each part, as an object for each token."""
    others = lists.get("top_logprobs") or []
    return [
        {
            "token": token,
            "logprob": logprob,
            "top_logprobs": [{"token": one, "logprob": p} for one, p in (other or {}).items()],
        }
        for token, logprob, other in zip_longest(
            lists["tokens"], lists.get("token_logprobs") or (), others[: len(lists["tokens"])]
        )
    ]


def _storable(text: str) -> str:
    """The text without halves of surrogate pairs and NULs, which not every store takes, nor every endpoint."""
    return text.replace("\0", " ").encode(errors="replace").decode()


def _storable_all(value: Any) -> Any:
    """A JSON value with all of its texts storable."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {key: _storable_all(item) for key, item in value.items()}
    return [_storable_all(item) for item in value] if isinstance(value, list) else value
