"""Finding officialese in a text: all entries together, the longest first at every place.

The entries are in `phrases.yaml`, `duties.yaml`, `terms.yaml` and `single_words.yaml`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...core.english import FUNCTION_WORDS, stem
from ...core.text import words
from ..word_lists import as_lists, as_wordings, read_words
from .verbs import verb_entries

_FOLDER = Path(__file__).parent

NEGATIONS = frozenset(as_lists(read_words(_FOLDER / "words.yaml"))["negations"])
"""Words (in lower case) that turn a statement round; one that is lost turns it back."""


@dataclass(frozen=True)
class Entry:
    """A phrase of officialese and its plain wordings."""

    phrase: tuple[str, ...]
    """In lower case."""
    plain: tuple[str, ...]
    """Each reads well in the other's place; an empty one lets the phrase go."""

    @cached_property
    def keepers(self) -> frozenset[str]:
        """Stems of content words, one of which a text that keeps the phrase's meaning has; may be none."""
        ways = [_content(words(wording)) for wording in self.plain]
        if not all(ways):
            return frozenset()
        return frozenset().union(*ways, _content(self.phrase))

    @cached_property
    def negates(self) -> bool:
        """Whether what the phrase says is still negative in all plain wordings."""
        return all(NEGATIONS & set(words(wording)) for wording in self.plain)


@dataclass(frozen=True, slots=True)
class Found:
    """Where an entry stands in a list of words."""

    start: int
    end: int
    entry: Entry


class Lexicon:
    """A set of entries that texts are searched for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._by_first: dict[str, list[Entry]] = {}
        for entry in sorted(entries, key=lambda entry: -len(entry.phrase)):
            self._by_first.setdefault(entry.phrase[0], []).append(entry)

    def find(self, said: Sequence[str]) -> Iterator[Found]:
        """The entries in a text's words (in lower case), from left to right, none overlapping another."""
        place = 0
        while place < len(said):
            for entry in self._by_first.get(said[place], ()):
                end = place + len(entry.phrase)
                if tuple(said[place:end]) == entry.phrase:
                    yield Found(place, end, entry)
                    place = end
                    break
            else:
                place += 1

    def without(self, *phrases: str) -> "Lexicon":
        """A lexicon that knows all of these but some phrases.

        Raises:
            ValueError: It does not know one of them itself.
        """
        gone = {tuple(words(phrase)) for phrase in phrases}
        unknown = gone - {entry.phrase for entry in self.entries}
        if unknown:
            raise ValueError(f"no entries of the lexicon: {sorted(' '.join(phrase) for phrase in unknown)}")
        return Lexicon([entry for entry in self.entries if entry.phrase not in gone])

    def with_more(self, *phrases: str) -> "Lexicon":
        """A lexicon that minds further phrases, for which it has no better wording."""
        return Lexicon([*self.entries, *(Entry(tuple(words(phrase)), (phrase,)) for phrase in phrases)])


def _content(found: Sequence[str]) -> frozenset[str]:
    return frozenset(stem(word) for word in found if word not in FUNCTION_WORDS)


def _all_entries() -> list[Entry]:
    # What stands in a table with words around it knows more than a verb alone, so the tables come last.
    plain_of = dict(verb_entries())
    for table in ("single_words", "terms", "phrases", "duties"):
        plain_of |= as_wordings(read_words(_FOLDER / f"{table}.yaml"))
    return [Entry(tuple(words(phrase)), wordings) for phrase, wordings in plain_of.items()]


OFFICIALESE = Lexicon(_all_entries())
"""All that the teacher knows how to say plainly."""
