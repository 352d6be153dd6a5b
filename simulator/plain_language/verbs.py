"""Verbs of officialese and their plain equivalents, each in all of its forms.

Regular endings are worked out; the verbs and the irregular forms are in `verbs.yaml`.
"""

from collections.abc import Iterator
from pathlib import Path

from ..word_lists import as_lists, as_wordings, read_words

_WORDS = read_words(Path(__file__).with_name("verbs.yaml"))
_PLAIN = as_wordings(_WORDS["verbs"])
_IRREGULAR = as_lists(_WORDS["irregular"])
_DOUBLED = frozenset(_WORDS["doubled"].split())


def verb_entries() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each form of each verb with the same form of each of its plain equivalents.

    Where a past and a participle are spelt the same, as nearly all verbs of officialese have it, the participle counts:
    officialese is fond of the passive.
    """
    for official, plain in _PLAIN.items():
        forms = zip(*map(_forms, plain), strict=True)
        yield from dict(zip(_forms(official), forms, strict=True)).items()


def _forms(phrase: str) -> tuple[str, ...]:
    """Base, third person, past, participle and -ing form of a verb with whatever follows it."""
    verb, _, rest = phrase.partition(" ")
    forms = (verb, *_IRREGULAR[verb]) if verb in _IRREGULAR else (verb, *_regular(verb))
    return tuple(f"{form} {rest}".strip() for form in forms)


def _regular(verb: str) -> tuple[str, str, str, str]:
    third = f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb[:-1]}ied", f"{verb}ing"
    if verb.endswith("e"):
        return third, f"{verb}d", f"{verb}d", f"{verb[:-1]}ing"
    root = verb + verb[-1] if verb in _DOUBLED else verb
    return third, f"{root}ed", f"{root}ed", f"{root}ing"
