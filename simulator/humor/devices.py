"""The comic devices of the teacher: patterns that keep a sentence whole and add a turn that comes back to it.

A pattern's `{body}` is the sentence without its stop, `{inner}` the same as it reads in mid-sentence; `{the}` is a noun
of the sentence (an object of its own where the sentence offers none), `{one}` the same in the singular, and `{has}`,
`{is}`, `{was}` and `{s}` agree with `{the}`. All other fields are slots of `lexicon.py`. At most 14 words are added.
"""

import re

from ..chance import choose
from .lexicon import SLOTS
from .sentences import Noun, Sentence

DEVICES: dict[str, tuple[str, ...]] = {
    "exaggeration": (
        "{body}, so much so that {the} {has} {perfect}",
        "{body}, to such an extent that {the} {has} {perfect}",
        "{body}, and it was enough to {feat}",
        "{body}, with enough conviction to {feat}",
        "{body}, so memorably that {the} {was} discussed by {audience}",
        "{body}, and {the} alone caused enough drama to {feat}",
        "{body}, to the point where {the} could {feat}",
        "{body}, so famously that {the} {was} invited to dinner by {audience}",
        "{body}, so spectacularly that {the} {was} applauded by {audience}",
    ),
    "simile": (
        "{body}, and {the} looked on like {creature} {activity}",
        "{body}, and {the} took it like {creature} {activity}",
        "{body}, and {the} {was} about as calm as {creature} {activity}",
        "{body}, which left {the} looking like {creature} {activity}",
        "{body}, and the whole thing had the grace of {creature} {activity}",
        "{body}, and {the} {was} about as useful as {comparison}",
        "{body}, as though {the} had been replaced by {creature} {activity}",
        "{body}, and since then {the} {has} behaved like {creature} {activity}",
        "{body}, and {the} handled it like {creature} {activity}",
    ),
    "personification": (
        "{body}, and {the} {has} not stopped {habit}",
        "{body}, and {the} {has} asked for {demand}",
        "{body}, and {the} {is} already {habit}",
        "{body}, and {the} would like {wish}",
        "{body}, while {one} quietly dreamed of becoming {career}",
        "{body}, and {the} blame{s} {audience}",
        "{body}, and {the} {has} since {perfect}",
        "{body}, because {the} had been promised {demand}",
        "{body}, and {the} spent the evening {habit}",
    ),
    "callback": (
        "{body}, and {other} sends its regards to {the}",
        "{body}, and {other} wants {demand} too",
        "{body}, and {the} and {other} have {perfect} together",
        "{body}, and somewhere {other} is {habit}",
        "{body}, just as {other} had warned {audience}",
        "{body}, and {other} has promised {the} {demand}",
        "{body}, and now {other} is jealous of {the}",
        "{body}, which is exactly what {other} told {audience}",
        "{body}, and {other} now greets {the} like {creature}",
    ),
    "understatement": (
        "{body}, which {the} {has} described as {mild}",
        "{body}, and {audience} called it {mild}",
        "{body}, which went about as smoothly as {comparison}",
        "{body}, which for {the} counts as {mild}",
        "{body}, hardly the finest hour for {the}, but {mild}",
        "{body}, and history will remember {the} as {mild}",
        "{body}, and {the} would only call it {mild}",
        "{body}, a moment with all the promise of {comparison}",
        "{body}, which is, to put it gently, {mild} for {the}",
    ),
    "consequence": (
        "{body}, and {time} {one} had become {career}",
        "{body}, so {audience} hired {one} as {career}",
        "{body}, which is how {one} came to be {career}",
        "{body}, and {time} {the} had {perfect}",
        "{body}, so {audience} gave {the} {demand}",
        "{body}, and in the film version {one} plays {career}",
        "{body}, and {time} {audience} had {perfect}",
        "{body}, so {the} must now report to {office}",
        "{body}, and as a result {the} {has} {perfect}",
    ),
    "register": (
        "{body}, pending an inquiry into {the} by {office}",
        "{body}, according to a statement {the} gave to {office}",
        "{body}, and {office} has offered {the} {demand}",
        "{body}, for which {office} awarded {the} {demand}",
        "{body}, and {office} has classified {the} as {mild}",
        "{office} confirms that {inner}, and {the} {has} {perfect}",
        "Sources close to {the} report that {inner}, to the dismay of {audience}",
        "{body}, and {the} will be questioned by {office}",
        "For the record, {inner}, and {the} would like {wish}",
        "{body}, in breach of a treaty between {the} and {audience}",
    ),
}
"""The patterns of each device."""

_FIELD = re.compile(r"\{(\w+)\}")
_LINK = re.compile(r"^, (?:and |so |while )?")


def pick_noun(sentence: Sentence, *parts: str | int) -> Noun:
    """A noun to talk about: one of the sentence, or a household object where the sentence offers none."""
    return choose(sentence.nouns or tuple(Noun(name) for name in SLOTS["other"]), "noun", *parts)


def joke(sentence: Sentence, *parts: str | int) -> str:
    """The sentence with a comic device; which one, and its fillers, follow from `parts`."""
    patterns = choose(tuple(DEVICES.values()), "device", *parts)
    if sentence.question:
        patterns = tuple(pattern for pattern in patterns if pattern.startswith("{body}"))
    return fill(choose(patterns, "pattern", *parts), sentence, *parts)


def fill(pattern: str, sentence: Sentence, *parts: str | int) -> str:
    """A pattern filled for this sentence, as a whole sentence with its stop."""
    noun = pick_noun(sentence, *parts)
    values = {
        "the": noun.name,
        "one": f"one of {noun.name}" if noun.plural else noun.name,
        "has": "have" if noun.plural else "has",
        "is": "are" if noun.plural else "is",
        "was": "were" if noun.plural else "was",
        "s": "" if noun.plural else "s",
        "inner": sentence.inner,
    }

    def value(match: re.Match[str]) -> str:
        field = match.group(1)
        return values[field] if field in values else _filler(field, noun, *parts)

    tail = pattern.removeprefix("{body}")
    said = _FIELD.sub(value, tail)
    if tail == pattern:
        text = said
    elif sentence.question:
        text = f"{sentence.body} {_capital(_LINK.sub('', said))}"
    else:
        text = sentence.body + said
    return _capital(text) + "."


def _filler(slot: str, noun: Noun, *parts: str | int) -> str:
    """A filler that does not name the noun once more: no kettle sends its regards to the kettle."""
    fillers = tuple(filler for filler in SLOTS[slot] if filler != noun.name)
    return choose(fillers, "slot", slot, *parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
