"""What search takes for a word, and what a query means, the same in Python as in both databases.

A word is letters and digits, compared without case and diacritics. Nothing is stemmed, and no word is too common. Where
there are no spaces between words, as in Chinese, Japanese and Thai, each letter is one, with the marks around it; what
stands together in a query is a phrase of them, and so is found within a text.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Boolean, ColumnElement, FunctionElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

Term = tuple[str, ...]
"""A word, or the words of a phrase, folded."""

UNSPACED = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"
    r"\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Han, kana, bopomofo and Yi, as ranges of PostgreSQL and Python; frozen in the schema."""
MARKS = (
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060"
    r"\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd"
    r"\u3099\u309a"
)
"""Vowels and tones around a letter of theirs, which are no letters by themselves."""
READ = 100_000
"""Characters of a text that are searched, ranked and shown from."""
_SHORT = 200
"""Characters of a text whose words are worth remembering."""
_CHUNK = re.compile(r'"([^"]*)"?|([^\s"]+)')
_WORD = re.compile(rf"(?=[^\W_])[{UNSPACED}][{MARKS}]*|(?:(?![{UNSPACED}])[^\W_][\u0300-\u036f]*)+")
_ASCII_WORD = re.compile("[0-9A-Za-z]+")
"""The same in a text of ASCII alone, where it is found ten times as fast."""
_MARKS = re.compile(r"[\u0300-\u036f]+")


class Word(NamedTuple):
    """A word in its place in a text."""

    folded: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """The words of a text in their order."""
    return [Word(_fold(match.group()), *match.span()) for match in _WORD.finditer(text)]


def indexed_words(text: str) -> str:
    """What SQLite's index is given of a text: its words, with spaces between them."""
    return _indexed(text) if len(text) <= _SHORT else _in_words(text[:READ])


@lru_cache(maxsize=256)
def _indexed(text: str) -> str:
    """Of a short text: a run's id comes with every turn, and much is said again."""
    return _in_words(text)


def _in_words(text: str) -> str:
    if text.isascii():
        return " ".join(_ASCII_WORD.findall(text.lower()))
    return " ".join(map(_fold, _WORD.findall(text)))


def terms_of(query: str) -> list[Term]:
    """What a query asks for: each of its words, and each phrase in double quotes.

    Nothing in a query is an operator. What stands together with a sign inside, such as `don't`, is a phrase.
    """
    chunks = (tuple(word.folded for word in words_of(quoted or plain)) for quoted, plain in _CHUNK.findall(query))
    return list(dict.fromkeys(chunk for chunk in chunks if chunk))


def fts5_query(terms: Sequence[Term]) -> str:
    """The query in the language of SQLite's FTS5, for any column."""
    return " AND ".join(f'"{" ".join(term)}"' for term in terms)


def tsquery(terms: Sequence[Term]) -> str:
    """The query in the language of PostgreSQL's `to_tsquery`."""
    return " & ".join("(" + " <-> ".join(f"'{word}'" for word in term) + ")" for term in terms)


class _Matching(FunctionElement[bool]):
    """Condition that the words of a table's row match, as the database at hand says it."""

    type = Boolean()
    inherit_cache = True
    table: str


class _TurnMatching(_Matching):
    inherit_cache = True
    name = "turn_matching"
    table = "turn"


class _ExampleMatching(_Matching):
    inherit_cache = True
    name = "example_matching"
    table = "example"


def turn_query(terms: Sequence[Term], run_id: str | None) -> str:
    """What SQLite's index of turns is asked for: content that holds all terms, in one run or in all."""
    query = f"content : ({fts5_query(terms)})"
    return query if run_id is None else f"{query} AND run_id : ({fts5_query(terms_of(run_id))})"


def turn_matches(terms: Sequence[Term], run_id: str | None = None) -> ColumnElement[bool]:
    """That a turn's content holds all terms; a condition for a SELECT in which `turn` goes by its own name.

    With a run's id other runs' turns need not be looked at, and most are not: the SELECT has to leave them out itself.
    """
    return _TurnMatching(literal(turn_query(terms, run_id)), literal(tsquery(terms)))


def example_matches(terms: Sequence[Term]) -> ColumnElement[bool]:
    """That an input holds all terms; a condition for a SELECT in which `example` goes by its own name."""
    return _ExampleMatching(literal(fts5_query(terms)), literal(tsquery(terms)))


@compiles(_Matching, "sqlite")
def _in_sqlite(element: _Matching, compiler: SQLCompiler, **options: object) -> str:
    query, _ = (compiler.process(clause, **options) for clause in element.clauses)
    table = element.table
    # Table and parameter are no text of a user's.
    return f"{table}.rowid IN (SELECT rowid FROM {table}_words WHERE {table}_words MATCH {query})"  # noqa: S608 - see above


@compiles(_Matching, "postgresql")
def _in_postgresql(element: _Matching, compiler: SQLCompiler, **options: object) -> str:
    _, query = element.clauses
    return f"{element.table}.words @@ to_tsquery('simple', {compiler.process(query, **options)})"


def _fold(word: str) -> str:
    return word.lower() if word.isascii() else _bare(word).lower()


def _bare(word: str) -> str:
    # Composed again, since a syllable of Korean or a kana with its mark is one letter and not several.
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", word)))
