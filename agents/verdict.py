"""Pairwise verdicts by multiple-choice prompting: label probabilities, both orders, ties.

From "Small But Funny" (Ravi et al. 2024): two texts are shown as 1 and 2, the probabilities of the tokens "1" and "2"
are the preference, and every comparison is made in both orders and averaged, against position bias.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from ..core.errors import ReplyError
from ..core.records import LLMReply, Outcome
from .llm import Exchange

_LABEL = re.compile(r"\b([12])\b")

VerdictMethod = Literal["logprobs", "text"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A preference between two texts A and B, from both orders."""

    forward: Exchange
    """Asked with A shown first."""
    reverse: Exchange
    """Asked with B shown first."""
    p_forward: float
    """p(A is better) when A is shown first."""
    p_reverse: float
    """p(A is better) when B is shown first."""
    outcome: Outcome
    """How A fared; disagreement of the orders and near-even odds are ties."""
    method: VerdictMethod

    @property
    def p_first(self) -> float:
        """p(A is better), the mean of both orders."""
        return (self.p_forward + self.p_reverse) / 2

    @property
    def consistent(self) -> bool:
        """Whether both orders prefer the same text."""
        return (self.p_forward - 0.5) * (self.p_reverse - 0.5) > 0

    @property
    def margin(self) -> float:
        """How sure the verdict is, in [0, 1]."""
        return abs(self.p_first - 0.5) * 2


def combine_orders(forward: Exchange, reverse: Exchange, tie_margin: float) -> Verdict:
    """The verdict on A against B from the replies of both orders.

    Raises:
        ReplyError: a reply names neither label.
    """
    p_forward, method_forward = first_label_probability(forward.reply)
    p_second, method_reverse = first_label_probability(reverse.reply)
    p_reverse = 1 - p_second
    mean = (p_forward + p_reverse) / 2
    agree = (p_forward - 0.5) * (p_reverse - 0.5) > 0
    outcome: Outcome = "tie"
    if agree and abs(mean - 0.5) >= tie_margin:
        outcome = "win" if mean > 0.5 else "loss"
    method: VerdictMethod = "logprobs" if method_forward == method_reverse == "logprobs" else "text"
    return Verdict(forward, reverse, p_forward, p_reverse, outcome, method)


def first_label_probability(reply: LLMReply) -> tuple[float, VerdictMethod]:
    """p(label 1) / (p(label 1) + p(label 2)), summed over the ways a tokenizer writes each label.

    Without log-probabilities the label that the text names is certain.

    Raises:
        ReplyError: the reply names neither label.
    """
    mass = {"1": 0.0, "2": 0.0}
    for token, logprob in (reply.first_token_logprobs or {}).items():
        label = token.strip().strip(".):(\"'*<>").strip()
        if label in mass:
            mass[label] += math.exp(logprob)
    total = mass["1"] + mass["2"]
    if total > 0:
        return mass["1"] / total, "logprobs"
    named = set(_LABEL.findall(reply.text.strip()[:200]))
    start = re.match(r"\W*([12])\b", reply.text.strip())
    label = start.group(1) if start else (named.pop() if len(named) == 1 else "")
    if not label:
        raise ReplyError(f"the verdict names neither 1 nor 2: {reply.text[:120]!r}")
    return (1.0 if label == "1" else 0.0), "text"
