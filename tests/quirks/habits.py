"""Habits of real endpoints, by name: each makes an answer of a request. What they imitate was seen or reported.

`final` ones stop a run until somebody has mended the account.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..agents.scripted_endpoint import Answer, completion, failure, model_list
from .words import CUT_MARK, PREAMBLE_MARK, answer, jokes, kind_of, label, numbered, other, thought

Say = Callable[[dict[str, Any], int], Answer]
"""From a request's body, and how many came before it, to what is answered."""


@dataclass(frozen=True)
class Habit:
    """One habit, and what becomes of a run whose endpoint has it."""

    say: Say
    final: bool = False
    """Whether no further attempt helps: the run stops, and goes on once the account is mended."""
    models: Answer | None = None
    """What `GET /models` answers; None: the usual list."""


def said(body: dict[str, Any], text: Any, finish: Any = "stop", logprobs: Any = None, **more: Any) -> Answer:
    """A reply with these words; log-probabilities of its label where they were asked for and none are given."""
    message = {"role": "assistant", "content": text, "refusal": None} | more.pop("message", {})
    if logprobs is None and body.get("logprobs") and kind_of(body) == "compare" and text == label(body):
        logprobs = {"content": [token(text, -0.1, {text: -0.1, other(text): -2.4})]}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    return Answer(
        body=completion(**{"message": message, "finish_reason": finish, "logprobs": logprobs, "usage": usage} | more)
    )


def token(text: str | None, logprob: Any, alternatives: dict[str, Any] | None) -> dict[str, Any]:
    listed = (
        None if alternatives is None else [{"token": t, "logprob": p, "bytes": None} for t, p in alternatives.items()]
    )
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": listed}


def usual(body: dict[str, Any], number: int) -> Answer:
    """What is asked for, as it is asked for."""
    return said(body, answer(body))


def wrapped(wrap: Callable[[dict[str, Any], str], Any], *, finish: Any = "stop", **message: Any) -> Say:
    """Every answer wrapped in something."""

    def say(body: dict[str, Any], number: int) -> Answer:
        return said(body, wrap(body, answer(body)), finish, message=message)

    return say


def teacher(write: Callable[[list[str]], str], *, finish: str = "stop") -> Say:
    """Demonstrations written in a way of their own; the rest as usual."""

    def say(body: dict[str, Any], number: int) -> Answer:
        if kind_of(body) != "demonstrate":
            return usual(body, number)
        return said(body, write(jokes(body)), finish)

    return say


def judge(write: Callable[[dict[str, Any]], str], *, finish: str = "stop") -> Say:
    """Comparisons answered in a way of their own; the rest as usual."""

    def say(body: dict[str, Any], number: int) -> Answer:
        if kind_of(body) not in {"compare", "reason"}:
            return usual(body, number)
        return said(body, write(body), finish, logprobs=[])

    return say


def scored(make: Callable[[str], Any]) -> Say:
    """Log-probabilities in a shape of their own, where they are asked for and a label is answered."""

    def say(body: dict[str, Any], number: int) -> Answer:
        if kind_of(body) == "compare" and body.get("logprobs"):
            return said(body, label(body), logprobs=make(label(body)))
        return usual(body, number)

    return say


def whole(**changes: Any) -> Say:
    """The usual reply with parts of its body changed."""

    def say(body: dict[str, Any], number: int) -> Answer:
        reply = usual(body, number)
        return replace(reply, body=reply.body | changes)

    return say


def choice(**changes: Any) -> Say:
    """The usual reply with parts of its one choice changed."""

    def say(body: dict[str, Any], number: int) -> Answer:
        reply = usual(body, number)
        reply.body["choices"][0] |= changes
        return reply

    return say


def refuses(option: str, message: str, *, also: str | None = None) -> Say:
    """An option is refused, whatever its value."""

    def say(body: dict[str, Any], number: int) -> Answer:
        for name in (option, also):
            if name is not None and name in body:
                told = {"message": message, "type": "invalid_request_error", "param": name, "code": "unsupported"}
                return Answer(400, {"error": told})
        return usual(body, number)

    return say


def at_first(count: int, trouble: Answer) -> Say:
    """Trouble that passes."""
    return lambda body, number: trouble if number < count else usual(body, number)


def always(trouble: Answer) -> Say:
    return lambda body, number: trouble


def after(count: int, say: Say) -> Say:
    """A habit that shows once so many requests were answered as usual."""
    return lambda body, number: usual(body, number) if number < count else say(body, number)


def cap_of(body: dict[str, Any]) -> int:
    """The tokens a request leaves room for."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 10**9)


def _thinks_first(body: dict[str, Any], number: int) -> Answer:
    """Without much room everything goes into thinking."""
    if cap_of(body) < 2000:
        return said(body, None, "length", message={"reasoning_content": thought(body)})
    return said(body, answer(body), message={"reasoning_content": thought(body)})


def _thought_is_cut(body: dict[str, Any], number: int) -> Answer:
    if cap_of(body) < 1000:
        return said(body, f"<think>\n{thought(body)}", "length")
    return said(body, f"<think>\n{thought(body)}\n</think>\n{answer(body)}")


def _reasoning_model(body: dict[str, Any], number: int) -> Answer:
    """Refuses what such models refuse, and small caps in words alone."""
    for option in ("temperature", "top_p", "logprobs", "top_logprobs"):
        if option in body:
            told = {"message": f"Unsupported parameter: '{option}'", "param": option, "code": "unsupported_parameter"}
            return Answer(400, {"error": told})
    if cap_of(body) < 700:
        return failure(400, "Could not finish the message because max_tokens was reached.")
    return usual(body, number)


def _no_system(body: dict[str, Any], number: int) -> Answer:
    if body["messages"][0]["role"] == "system":
        return failure(400, "System role not supported")
    return usual(body, number)


def _old_cap(body: dict[str, Any], number: int) -> Answer:
    if "max_tokens" in body:
        return usual(body, number)
    return said(body, answer(body) + "\nAnd " + "so on and so forth, " * 2000 + CUT_MARK)


def _allows_five(body: dict[str, Any], number: int) -> Answer:
    if body.get("top_logprobs", 0) > 5:
        return failure(400, "top_logprobs must be at most 5")
    return usual(body, number)


def _reason_cut(body: dict[str, Any]) -> str:
    """Quotes the label that it does not mean, and ends before it says the other."""
    return f"The first says `Answer: {other(label(body))}` and\nAnswer: {other(label(body))}"


def _filtered(refusal: Answer) -> Say:
    """One in three sentences is refused, whoever asks about it."""

    def say(body: dict[str, Any], number: int) -> Answer:
        sentence = re.search(r"<sentence>(.*?)</sentence>", str(body["messages"][-1]["content"]), re.DOTALL)
        return refusal if sentence and len(sentence[1]) % 3 == 0 else usual(body, number)

    return say


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def _titled(lines: list[str]) -> str:
    return "\n\n".join(f"{number}. **The {number}th**\n   {line}" for number, line in enumerate(lines, start=1))


def _cut(lines: list[str]) -> str:
    return numbered([*lines[:2], f"Once upon a time there was a {CUT_MARK}"])


def _unlikely(answered: str) -> Any:
    """A critic that wants to say something else: both labels together have 8%."""
    given = {"The": -0.4, "I": -1.8, answered: -2.9, other(answered): -3.6}
    return {"content": [token("The", -0.4, given)]}


def _one_label(answered: str) -> Any:
    return {"content": [token(answered, -0.05, {answered: -0.05, "I": -3.2, "The": -4.5})]}


SSE = b'data: {"id": "c", "object": "chat.completion.chunk", "choices": []}\n\ndata: [DONE]\n\n'
ANNOUNCED = f"Sure, {PREAMBLE_MARK}! Here are three retellings."
PREAMBLE, CLOSING = (
    f"Sure, {PREAMBLE_MARK}! Here are three retellings:",
    f"{PREAMBLE_MARK.capitalize()} more if you like!",
)

HABITS: dict[str, Habit] = {
    "usual": Habit(usual),
    # Thoughts
    "think-tags": Habit(wrapped(lambda b, a: f"<think>\n{thought(b)}\n</think>\n\n{a}")),
    "think-closing-only": Habit(wrapped(lambda b, a: f"{thought(b)}\n</think>\n\n{a}")),
    "think-other-tags": Habit(wrapped(lambda b, a: f"<thinking>{thought(b)}</thinking>\n{a}")),
    "think-brackets": Habit(wrapped(lambda b, a: f"[THINK]{thought(b)}[/THINK]{a}")),
    "think-channels": Habit(
        wrapped(
            lambda b, a: (
                f"<|channel|>analysis<|message|>{thought(b)}<|end|><|start|>assistant<|channel|>final<|message|>{a}"
            )
        )
    ),
    "think-cut": Habit(_thought_is_cut),
    "think-field": Habit(lambda b, n: said(b, answer(b), message={"reasoning_content": thought(b)})),
    "think-parts": Habit(
        wrapped(
            lambda b, a: [
                {"type": "thinking", "thinking": [{"type": "text", "text": thought(b)}]},
                {"type": "text", "text": a},
            ]
        )
    ),
    "think-takes-all": Habit(_thinks_first),
    # Demonstrations
    "preamble": Habit(teacher(lambda lines: "\n\n".join([PREAMBLE, *lines, CLOSING]))),
    "preamble-numbered": Habit(teacher(lambda lines: f"{PREAMBLE}\n{numbered(lines)}\n\n{CLOSING}")),
    "titles": Habit(teacher(_titled)),
    "bullets": Habit(teacher(lambda lines: "\n".join(f"- {line}" for line in lines))),
    "fenced": Habit(teacher(lambda lines: f"```\n{numbered(lines)}\n```")),
    "fenced-json": Habit(teacher(lambda lines: f"```json\n{json.dumps(lines, indent=1)}\n```")),
    "json-objects": Habit(teacher(lambda lines: json.dumps({"retellings": lines}))),
    "bold": Habit(teacher(lambda lines: "\n".join(f"{n}. **{line}**" for n, line in enumerate(lines, start=1)))),
    "demonstrations-cut": Habit(teacher(_cut, finish="length")),
    "circled": Habit(teacher(lambda lines: "\n".join(f"{chr(0x2460 + n)} {line}" for n, line in enumerate(lines)))),
    "tagged": Habit(teacher(lambda lines: "\n".join(f"<retelling>{line}</retelling>" for line in lines))),
    "bold-words": Habit(teacher(lambda lines: numbered([line.replace(" my ", " **my** ") for line in lines]))),
    "announced": Habit(
        teacher(lambda lines: "\n\n".join([f"Sure, {PREAMBLE_MARK}! Here are three retellings.", *lines]))
    ),
    "broken-off": Habit(teacher(_cut, finish="insufficient_system_resource")),
    "declines": Habit(teacher(lambda lines: "I'm sorry, but I can't help with that.")),
    # Verdicts
    "label-in-words": Habit(judge(lambda b: f"Text {label(b)}")),
    "label-bold": Habit(judge(lambda b: f"**{label(b)}**")),
    "label-json": Habit(judge(lambda b: json.dumps({"answer": int(label(b))}))),
    "label-after-reason": Habit(judge(lambda b: f"{other(label(b))} is longer.\nAnswer: {label(b)}")),
    "reason-cut": Habit(judge(_reason_cut, finish="length")),
    "label-as-word": Habit(judge(lambda b: "The first one." if label(b) == "1" else "The second one.")),
    "label-then-turn": Habit(judge(lambda b: f"{label(b)}<|im_end|>\n<|im_start|>user\nAnd now {other(label(b))}")),
    "label-denied": Habit(judge(lambda b: f"I would not choose {other(label(b))}.")),
    "label-declined": Habit(judge(lambda b: "I'm sorry, but I can't compare these.")),
    "labels-unlikely": Habit(scored(_unlikely)),
    "label-not-listed": Habit(scored(_one_label)),
    # Log-probabilities
    "logprobs-null": Habit(scored(lambda a: {"content": [token(a, None, {a: None})]})),
    "logprobs-no-alternatives": Habit(scored(lambda a: {"content": [token(a, -0.1, None)]})),
    "logprobs-null-token": Habit(scored(lambda a: {"content": [token(None, -0.1, {a: -0.1, other(a): -2.4})]})),
    "logprobs-infinite": Habit(scored(lambda a: {"content": [token(a, -0.1, {a: -0.1, other(a): -math.inf})]})),
    "logprobs-bytelevel": Habit(
        scored(lambda a: {"content": [token(f"\u0120{a}", -0.1, {f"\u0120{a}": -0.1, f"\u0120{other(a)}": -2.4})]})
    ),
    "logprobs-lists": Habit(scored(lambda a: {"tokens": [a], "token_logprobs": [-0.1], "token_ids": [16]})),
    "logprobs-list": Habit(scored(lambda a: [])),
    "logprobs-text": Habit(scored(lambda a: "none")),
    "logprobs-never": Habit(scored(lambda a: {"content": None})),
    "logprobs-five": Habit(_allows_five),
    # Shapes
    "content-parts": Habit(wrapped(lambda b, a: [{"type": "text", "text": a}])),
    "role-null": Habit(lambda b, n: said(b, answer(b), message={"role": None})),
    "role-model": Habit(lambda b, n: said(b, answer(b), message={"role": "model"})),
    "model-null": Habit(whole(model=None)),
    "usage-null": Habit(whole(usage={"prompt_tokens": None, "completion_tokens": None})),
    "usage-floats": Habit(whole(usage={"prompt_tokens": 5.0, "completion_tokens": 5.5, "total_tokens": 10.5})),
    "usage-words": Habit(whole(usage={"prompt_tokens": "5", "completion_tokens": "many"})),
    "usage-huge": Habit(whole(usage={"prompt_tokens": 10**30, "completion_tokens": -4, "total_tokens": 2**64})),
    "usage-list": Habit(whole(usage=[5, 5])),
    "finish-number": Habit(choice(finish_reason=2)),
    "finish-object": Habit(choice(finish_reason={"type": "stop"})),
    "nested": Habit(whole(extra=_nested(400))),
    "surrogates": Habit(wrapped(lambda b, a: a, note="\ud800 \0")),
    # Options
    "reasoning-model": Habit(_reasoning_model),
    "no-system": Habit(_no_system),
    "old-cap": Habit(_old_cap),
    "no-new-cap": Habit(refuses("max_completion_tokens", "Unrecognized request argument: max_completion_tokens")),
    "no-seed": Habit(refuses("seed", "seed: Extra inputs are not permitted")),
    "no-schema": Habit(refuses("response_format", "response_format json_schema is not supported")),
    "no-temperature": Habit(refuses("temperature", "temperature is deprecated for this model", also="top_p")),
    "no-logprobs": Habit(refuses("logprobs", "logprobs is not supported", also="top_logprobs")),
    # Model lists
    "models-bare": Habit(usual, models=Answer(body=[{"id": "m", "object": "model"}])),
    "models-tagged": Habit(usual, models=Answer(body=model_list("m:latest"))),
    "models-prefixed": Habit(usual, models=Answer(body=model_list("models/m"))),
    "models-other-key": Habit(usual, models=Answer(body={"models": [{"name": "m"}]})),
    "models-null": Habit(usual, models=Answer(body={"object": "list", "data": None})),
    "models-missing": Habit(usual, models=failure(404, "Not Found")),
    "models-broken": Habit(usual, models=failure(500, "no cache folder")),
    "models-others": Habit(usual, models=Answer(body=model_list("quite-another"))),
    # What passes
    "rate-limit-ms": Habit(at_first(3, failure(429, "Rate limit reached", retry_after_ms="20"))),
    "rate-limit-words": Habit(at_first(3, failure(429, "Rate limit reached. Please try again in 40ms."))),
    "timeout-408": Habit(at_first(2, failure(408, "Request timed out"))),
    "conflict-409": Habit(at_first(2, failure(409, "Conflict"))),
    "overloaded": Habit(at_first(2, Answer(503, b"<html>overloaded</html>", {"content-type": "text/html"}))),
    "hangs-up": Habit(at_first(2, Answer(close=True))),
    "stream-unasked": Habit(at_first(1, Answer(body=SSE))),
    "error-in-200": Habit(at_first(1, Answer(body={"error": {"message": "overloaded", "code": 502}}))),
    # What one prompt in three meets
    "filtered-400": Habit(_filtered(failure(400, "The prompt was filtered by the content policy."))),
    "filtered-200": Habit(_filtered(Answer(body=completion(None, finish_reason="content_filter")))),
    # What no further attempt helps
    "key-revoked": Habit(always(failure(401, "Invalid key")), final=True),
    "no-money": Habit(always(failure(402, "Insufficient credits")), final=True),
    "no-region": Habit(
        always(Answer(body={"error": {"message": "Not served in your region", "code": 403}})), final=True
    ),
    "no-quota": Habit(
        always(
            Answer(
                429, {"error": {"message": "Quota used up", "type": "insufficient_quota", "code": "insufficient_quota"}}
            )
        ),
        final=True,
    ),
    "model-gone": Habit(always(failure(404, "The model `m` does not exist")), final=True),
}
"""All habits, by name."""
