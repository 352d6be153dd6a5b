"""Parsing a sentence as far as a joke needs: its body, and the nouns that can come back.

Heuristics: they may miss a noun, and then say so, rather than make one up.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ...core.english import FUNCTION_WORDS
from ..word_lists import as_lists, read_words

_LISTS = as_lists(read_words(Path(__file__).with_name("sentences.yaml")))
_WORDS = {name: frozenset(found) for name, found in _LISTS.items()}
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]")
_CLOSING = re.compile(r"[\s\"'”’)\]]*([.!?…]*)[\s\"'”’)\]]*$")
_LONGEST_PHRASE = 4


@dataclass(frozen=True, slots=True)
class Noun:
    """Something a sentence is about, in the form in which it can be named again."""

    name: str
    """With its article where it takes one: `the kettle`, `the coins`, `Lucy`."""
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence taken apart."""

    body: str
    """Without its final stop; what goes on after it starts with a comma."""
    question: bool
    """It ended in a question or exclamation mark, which `body` still has: what goes on is a sentence of its own."""
    nouns: tuple[Noun, ...]
    """The best ones alone; empty where none is sure."""

    @property
    def inner(self) -> str:
        """The body as it reads in the middle of a sentence."""
        first, _, rest = self.body.partition(" ")
        keeps_case = first.lower() not in FUNCTION_WORDS or first == "I" or first.startswith(("I'", "I’"))
        return self.body if keeps_case else f"{first.lower()} {rest}".strip()


def read_sentence(text: str) -> Sentence:
    """Takes any text apart; never fails, whatever the text is."""
    flat = " ".join(text.split())
    closing = _CLOSING.search(flat)
    mark = closing.group(1) if closing else ""
    body = flat[: closing.start()] if closing else flat
    question = "?" in mark or "!" in mark
    return Sentence(body=body + (mark[-1] if question else ""), question=question, nouns=_nouns(body))


def _nouns(body: str) -> tuple[Noun, ...]:
    tokens = _TOKEN.findall(body)
    heads = [head for index in range(len(tokens)) if (head := _head(tokens, index)) is not None]
    bright = [head for head in heads if head.lower() not in _WORDS["dull"]]
    nouns = [Noun(f"the {head}", _is_plural(head.lower())) for head in bright]
    if not nouns and tokens:
        nouns = [name for name in [_opening_name(tokens)] if name is not None]
    return tuple(dict.fromkeys(nouns))


def _head(tokens: list[str], index: int) -> str | None:
    """The head of the noun phrase that the determiner at `index` opens, where it plainly does."""
    opener = tokens[index].lower()
    if opener not in _WORDS["determiner"] and not opener.endswith(("'s", "’s")):
        return None
    phrase: list[str] = []
    for token in tokens[index + 1 : index + 2 + _LONGEST_PHRASE]:
        word = token.lower()
        closed = not token[0].isalpha() or word in FUNCTION_WORDS or word in _WORDS["determiner"]
        if word.endswith(("'s", "’s")):
            return None
        if closed or (phrase and _is_verb(word)):
            break
        phrase.append(token)
    if not phrase or len(phrase) > _LONGEST_PHRASE:
        return None
    head, word = phrase[-1], phrase[-1].lower()
    unsure = word in _WORDS["adjective"] or word.endswith("ly") or _is_verb(word)
    surname = head[0].isupper() and "-" not in head and not _is_plural(word)
    return None if unsure or surname else head


def _opening_name(tokens: list[str]) -> Noun | None:
    """The first word as a name, for sentences such as `Lucy was stuck`."""
    first = tokens[0]
    word = first.lower()
    if not first[0].isupper() or word in FUNCTION_WORDS | _WORDS["dull"] | _WORDS["determiner"] or _is_verb(word):
        return None
    if not _is_plural(word):
        return Noun(first)
    # `Slugs have` or `Jonas has`: the verb tells, and where it does not, neither does this.
    verb = tokens[1].lower() if len(tokens) > 1 else ""
    if verb in ("have", "are", "were", "do"):
        return Noun(f"the {word}", plural=True)
    return Noun(first) if verb in ("has", "is", "was", "does") else None


def _is_verb(word: str) -> bool:
    if word in _WORDS["past"] or word in _WORDS["verb"]:
        return True
    if word.endswith("s") and (word[:-1] in _WORDS["verb"] or word.removesuffix("es") in _WORDS["verb"]):
        return True
    if word.endswith("ing") and len(word) > 5:
        return word not in _WORDS["ing_noun"]
    return word.endswith("ed") and word not in _WORDS["ed_noun"]


def _is_plural(word: str) -> bool:
    if word in _WORDS["plural"]:
        return True
    return word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _WORDS["singular_s"]
