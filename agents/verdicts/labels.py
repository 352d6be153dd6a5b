"""Reading one reply to a comparison: which label it names, and with what probability.

From "Small But Funny" (Ravi et al. 2024): two texts are shown as 1 and 2, and the probabilities of the tokens "1" and
"2" are the preference. The label comes first, or last after a reason ("Answer: 1"). This file knows nothing of orders,
of who was asked, or of what becomes of a reply that cannot be read.
"""

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ...core.errors import ReplyError
from ...core.records import LLMReply, TokenLogprob

LabelStyle = Literal["label", "reason"]

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
"""What reasoning models say to themselves; where it does not end, there is no answer."""
_LABEL = re.compile(r"\b([12])\b")
_AT_START = re.compile(r"\W*([12])\b")
_ANSWER = re.compile(r"answer\W{0,12}(?:is\W{0,6})?([12])\b", re.IGNORECASE)
_ALONE = re.compile(r"^\W*([12])\W*\Z", re.MULTILINE)
_LOOKED_AT = 200
"""Characters in which a label stands that has no place of its own."""
_AROUND = ".,;:!()[]{}\"'*<>`#"


class Label(NamedTuple):
    """What one reply says."""

    p_one: float
    """p(the text shown first is better)."""
    method: Literal["logprobs", "text"]


def read_label(reply: LLMReply, style: LabelStyle) -> Label:
    """p(label 1) / (p(label 1) + p(label 2)), summed over the ways a tokenizer writes each label.

    With a label first these are the probabilities of the reply's first token, whatever it is; where that is neither
    label, and with a reason first, of the token by which the reply names its label. Without log-probabilities the label
    that the text names is certain.

    Raises:
        ReplyError: the reply names neither label.
    """
    tokens = reply.token_logprobs or ()
    if style == "label" and tokens and (p := _share(tokens[0])) is not None:
        return Label(p, "logprobs")
    text = _THOUGHT.sub(lambda thought: " " * len(thought.group()), reply.text)
    named = _answered(text) if style == "reason" else _named(text)
    if named is None:
        raise ReplyError(f"the verdict names neither 1 nor 2: {reply.text[:120]!r}")
    token = _token_of(tokens, reply.text, named)
    if token is not None and (p := _share(token)) is not None:
        return Label(p, "logprobs")
    return Label(1.0 if named.group(1) == "1" else 0.0, "text")


def _named(text: str) -> re.Match[str] | None:
    """The label that a reply begins with, or the only one that its beginning names."""
    at_start = _AT_START.match(text)
    if at_start:
        return at_start
    start = len(text) - len(text.lstrip())
    found = list(_LABEL.finditer(text, start, start + _LOOKED_AT))
    return found[0] if len({match.group(1) for match in found}) == 1 else None


def _answered(text: str) -> re.Match[str] | None:
    """Label that ends a reply: after the last "Answer:", alone on the last line, or all of it."""
    answers = list(_ANSWER.finditer(text))
    return answers[-1] if answers else _ALONE.search(text)


def _token_of(tokens: Sequence[TokenLogprob], text: str, label: re.Match[str]) -> TokenLogprob | None:
    """Token that holds the text's label, or the last such token where tokens and text differ."""
    if "".join(token.token for token in tokens) == text:
        end = 0
        for token in tokens:
            end += len(token.token)
            if end > label.start(1):
                return token
    return next((token for token in reversed(tokens) if _bare(token.token) == label.group(1)), None)


def _share(token: TokenLogprob) -> float | None:
    """p(1) / (p(1) + p(2)) at a token; None where it could have been neither."""
    odds = token.alternatives
    if not odds and token.logprob is not None:
        odds = {token.token: token.logprob}
    mass = {"1": 0.0, "2": 0.0}
    for written, logprob in odds.items():
        if (label := _bare(written)) in mass:
            mass[label] += math.exp(min(logprob, 0.0))
    total = mass["1"] + mass["2"]
    return mass["1"] / total if total > 0 else None


def _bare(token: str) -> str:
    return token.strip().strip(_AROUND).strip()
