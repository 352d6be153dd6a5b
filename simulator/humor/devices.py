"""Comic devices of the teacher: patterns that keep a sentence whole and add a turn to it.

The patterns, and what their fields mean, are in `devices.yaml`; the fillers of the slots are in `lexicon.yaml`.
"""

import re
from pathlib import Path

from ..chance import choose
from ..word_lists import as_lists, read_words
from .lexicon import SLOTS
from .sentences import Noun, Sentence

DEVICES: dict[str, tuple[str, ...]] = as_lists(read_words(Path(__file__).with_name("devices.yaml")))
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
