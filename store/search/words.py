"""What search takes for a word, and what a query means, the same in Python as in both databases.

A word is letters and digits, compared without case and diacritics. Nothing is stemmed, and no word is too common.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Boolean, ColumnElement, FunctionElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

Term = tuple[str, ...]
"""A word, or the words of a phrase, folded."""

_CHUNK = re.compile(r'"([^"]*)"?|([^\s"]+)')
_WORD = re.compile(r"(?:[^\W_][\u0300-\u036f]*)+")
_MARKS = re.compile(r"[\u0300-\u036f]+")


class Word(NamedTuple):
    """A word in its place in a text."""

    folded: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """The words of a text in their order."""
    return [Word(_fold(match.group()), *match.span()) for match in _WORD.finditer(text)]


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
    return word.lower() if word.isascii() else _MARKS.sub("", unicodedata.normalize("NFD", word)).lower()
