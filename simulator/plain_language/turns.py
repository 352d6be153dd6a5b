"""Ways to say a plain sentence differently, none better than another: small words, contractions, clauses exchanged."""

import re

from ..chance import happens

_SHORT = (
    (re.compile(r"\bcannot\b"), "can't"),
    (re.compile(r"\b(do|does|did|is|are|was|were|has|have|should|must) not\b"), r"\1n't"),
    (re.compile(r"\bwill not\b"), "won't"),
)
_TWINS = (
    (re.compile(r"\b(you|we|they) must(?! not\b)", re.I), r"\1 need to"),
    (re.compile(r"\bmay not\b"), "cannot"),
    (re.compile(r"\b(you|we|they|and) may(?! not\b)", re.I), r"\1 can"),
    (re.compile(r"\bmay only\b"), "can only"),
    (re.compile(r"\bmay be\b"), "can be"),
    (re.compile(r"\beach\b"), "every"),
    (re.compile(r"\bover (?=[$£€\d])"), "more than "),
    (re.compile(r"\bmore than (?=[$£€\d])"), "over "),
    (re.compile(r"\b(?:about|around) (?=\w+ (?:weeks|hours|days|minutes))"), "some "),
    (re.compile(r"\bat once\b"), "straight away"),
    (re.compile(r"\bonly\b"), "just"),
    (re.compile(r"\bbecause of\b"), "due to"),
    (re.compile(r"\bwithin (?=\w+ (?:working )?(?:days?|weeks?|hours?|months?|years?)\b(?! of))"), "in "),
    (re.compile(r"\bas (?=(?:it|this|you|we|they|the|no|they) )"), "because "),
    (re.compile(r"\bup to (?=[$£€\d])"), "at most "),
)  # fmt: skip
_LAST = re.compile(r"^(?P<main>[^,.;:]{12,}) (?P<link>if|unless|because) (?P<clause>[^,.;:]{8,})\.$")
_FIRST = re.compile(r"^(?P<link>If|Unless|Because) (?P<clause>[^,.;:]{8,}), (?P<main>[^,.;:]{12,})\.$")
_NAME_OR_I = re.compile(r"(?:I|[A-Z][\w-]* [A-Z]|[A-Z]{2})")


def turn(sentence: str, *parts: str | int) -> str:
    """The same sentence, perhaps with other words short or another clause in front; what follows from `parts`."""
    for number, (pattern, twin) in enumerate(_TWINS):
        if happens(0.4, "twin", number, *parts):
            sentence = pattern.sub(twin, sentence)
    if happens(0.4, "contract", *parts):
        for pattern, short in _SHORT:
            sentence = pattern.sub(short, sentence)
    if happens(0.5, "clauses", *parts):
        sentence = _exchange(sentence)
    return sentence


def _exchange(sentence: str) -> str:
    last = _LAST.match(sentence)
    if last:
        return f"{last['link'].capitalize()} {last['clause']}, {_inside(last['main'])}."
    first = _FIRST.match(sentence)
    if first:
        return f"{first['main'][:1].upper()}{first['main'][1:]} {first['link'].lower()} {first['clause']}."
    return sentence


def _inside(clause: str) -> str:
    """A clause as it reads in the middle of a sentence."""
    return clause if _NAME_OR_I.match(clause) else clause[:1].lower() + clause[1:]
