"""What the pretended model says, with marks by which a text that should not have been kept is found in a store."""

import html
import json
import re
from hashlib import sha256
from typing import Any

THOUGHT_MARK = "ruminating"
"""Stands in every thought, in no answer."""
PREAMBLE_MARK = "gladly"
"""Stands in every preamble and closing remark, in no answer."""
CUT_MARK = "unfinis"
"""The end of every text that was cut off."""
MARKS = (THOUGHT_MARK, PREAMBLE_MARK, CUT_MARK, "```", "<think", "</think", "[THINK]", "<|channel|>", "**", "I'm sorry")

ANIMALS = ("heron", "badger", "walrus", "gecko", "magpie", "otter", "llama", "newt", "puffin", "stoat")


def kind_of(body: dict[str, Any]) -> str:
    """What a request asks for: `compare`, `reason`, `critique` or `demonstrate`."""
    last = str(body["messages"][-1]["content"])
    if "Answer with 1 for" in last:
        return "compare"
    if "Answer: 1" in last:
        return "reason"
    return "critique" if '"works"' in last else "demonstrate"


def jokes(body: dict[str, Any]) -> list[str]:
    """Three demonstrations that differ from request to request."""
    start = sum(map(ord, str(body["messages"][-1]["content"]))) % len(ANIMALS)
    one, two, three = (ANIMALS[(start + step) % len(ANIMALS)] for step in range(3))
    return [
        f"I did what it says, and even the {one} next door asked for a refund.",
        f"It went so well that a {two} has filed for custody of my dignity.",
        f"My kitchen now employs a {three} as its spokesman for such matters.",
    ]


def numbered(lines: list[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def better(first: str, second: str) -> int:
    """The label that an answer gives two texts: a matter of taste, but the same in both orders."""
    ranks = [sha256(html.unescape(text).strip().encode()).hexdigest() for text in (first, second)]
    return 1 if ranks[0] <= ranks[1] else 2


def label(body: dict[str, Any]) -> str:
    """The label a comparison is answered with."""
    last = str(body["messages"][-1]["content"])
    first, second = (re.search(rf"<{tag}>(.*?)</{tag}>", last, re.DOTALL) for tag in ("first", "second"))
    return str(better(first[1] if first else "", second[1] if second else ""))


def other(answered: str) -> str:
    """The label that was not answered."""
    return "1" if answered == "2" else "2"


def thought(body: dict[str, Any]) -> str:
    """A thought that quotes what a careless reader would take for the answer."""
    wrong = other(label(body))
    lines = [
        f"Okay, {THOUGHT_MARK} about this for a while.",
        f"1. First, {THOUGHT_MARK} on toast as a person.",
        f"2. Then, {THOUGHT_MARK} on smoke.",
        f"3. Or {THOUGHT_MARK} on the fire brigade.",
        'Maybe {"works": "'
        + THOUGHT_MARK
        + '", "missing": "'
        + THOUGHT_MARK
        + '", "suggestion": "'
        + THOUGHT_MARK
        + '"}?',
        f"Answer: {wrong}",
        wrong,
    ]
    return "\n".join(lines)


def answer(body: dict[str, Any]) -> str:
    """The words of an answer as the prompt asks for it."""
    kind = kind_of(body)
    if kind == "compare":
        return label(body)
    if kind == "reason":
        return f"One of them has a turn in it.\nAnswer: {label(body)}"
    if kind == "critique":
        critique = {"works": "the toast", "missing": "a surprise", "suggestion": "add a smoke alarm with feelings"}
        return json.dumps(critique)
    return numbered(jokes(body)) if "numbered list" in str(body["messages"][-1]["content"]) else jokes(body)[0]
