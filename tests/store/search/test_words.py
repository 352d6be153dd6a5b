from importlib import import_module

import pytest

from openmic.store.search.words import MARKS, READ, UNSPACED, fts5_query, indexed_words, terms_of, tsquery, words_of


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("late bus", [("late",), ("bus",)]),
        ('"late again" Bus', [("late", "again"), ("bus",)]),
        ("don't", [("don", "t")]),
        ("late late", [("late",)]),
        ('an "open quote', [("an",), ("open", "quote")]),
        ("NOT (late* OR bus) NEAR ^x:y -z", [("not",), ("late",), ("or",), ("bus",), ("near",), ("x", "y"), ("z",)]),
        ("Crème BRÛLÉE", [("creme",), ("brulee",)]),
        ("cre\u0300me", [("creme",)]),
        ("'; DROP TABLE turn; --", [("drop",), ("table",), ("turn",)]),
        ('!? "" * _', []),
        ("", []),
        ("火车", [("火", "车")]),
        ("カ\u3099ス", [("ガ", "ス")]),
        ("น้ำ", [("น้", "ำ")]),
        ("우산", [("우산",)]),
        ("iPhone手机壳", [("iphone", "手", "机", "壳")]),
    ],
)
def test_a_query_is_words_and_phrases_and_nothing_else(query: str, terms: list[tuple[str, ...]]) -> None:
    assert terms_of(query) == terms


def test_words_know_their_places() -> None:
    text = "I'm late—à nouveau!"
    assert [text[word.start : word.end] for word in words_of(text)] == ["I", "m", "late", "à", "nouveau"]
    assert [word.folded for word in words_of(text)] == ["i", "m", "late", "a", "nouveau"]


def test_the_schema_tells_the_same_letters_apart_as_search_does() -> None:
    schema = import_module("openmic.store.migrations.versions.0001_initial")
    assert (schema.UNSPACED, schema.MARKS) == (UNSPACED, MARKS)
    assert f"{READ})" in schema.FOLDED.replace(", NFD", ")")


def test_each_database_is_asked_in_its_own_language() -> None:
    terms = terms_of('"late again" bus')
    assert fts5_query(terms) == '"late again" AND "bus"'
    assert tsquery(terms) == "('late' <-> 'again') & ('bus')"


@pytest.mark.parametrize(
    "text",
    [
        "Don't_stop: THE 2nd bus, 3.5 km!",
        "",
        "_ - _",
        "I'm late—À NOUVEAU, x" * 20,
        "It’s 火车 Cre\u0300me",
        "x" * READ + " y",
    ],
)
def test_the_index_is_given_the_words_that_search_finds_however_long_and_whatever_it_is_written_in(text: str) -> None:
    assert indexed_words(text).split() == [word.folded for word in words_of(text[:READ])]
