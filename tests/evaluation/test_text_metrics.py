import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.evaluation.text_metrics import distinct_n, length_ratio, ngram_edit_distance, ngrams

from ..properties import steady

SENTENCE = st.lists(st.sampled_from(["the", "bus", "left", "a", "door"]), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("text", "source", "ratio"),
    [
        ("The bus left, twice, in June.", "The bus left.", 2.0),
        ("The bus.", "The bus left; it did.", 0.4),
        ("", "The bus left.", 0.0),
        ("?!", "The bus left.", 0.0),
        ("Two words", "", 2.0),
        ("don't", "do not", 0.5),
        ("公交车走了", "公交车没有走。", 5 / 6),
        ("Der Bus ist weg", "The bus left", 4 / 3),
        ("iPhone 走了", "猫", 3.0),
    ],
)
def test_length_is_counted_in_words(text: str, source: str, ratio: float) -> None:
    assert length_ratio(text, source) == pytest.approx(ratio)


def test_ngrams_are_all_in_order() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a", "b", "c"], 3) == [("a", "b", "c")]
    assert ngrams(["a"], 2) == [("a",)]
    assert ngrams([], 2) == []


@pytest.mark.parametrize(
    ("texts", "n", "share"),
    [
        (["a b c", "a b d"], 2, 3 / 4),  # ab bc ab bd
        (["a b c", "a b d"], 1, 4 / 6),
        (["A b!", "a, B", "a b"], 2, 1 / 3),
        (["a b a b"], 2, 2 / 3),
        (["a b c d"], 2, 1.0),
        (["a", "a"], 2, 1 / 2),
        (["", "?"], 2, 0.0),
        (["车走了", "车来了"], 2, 1.0),
        (["车走了", "车走"], 2, 2 / 3),
        ([], 2, 0.0),
    ],
)
def test_distinct_n_is_distinct_over_all(texts: list[str], n: int, share: float) -> None:
    assert distinct_n(texts, n) == pytest.approx(share)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("a b c d", "A, b c D!", 0.0),
        ("a b c d", "a b c e", 1 / 3),  # of ab bc cd the last is another
        ("a b c d", "a b x d", 2 / 3),
        ("a b c", "a b c d e", 2 / 4),  # two are added to two
        ("a b c", "x y z", 1.0),
        ("公交车走", "公交车来", 1 / 3),
        ("a b c", "", 1.0),
        ("", "", 0.0),
        ("a", "b", 1.0),
    ],
)
def test_edit_distance_is_that_of_the_bigrams(first: str, second: str, distance: float) -> None:
    assert ngram_edit_distance(first, second) == pytest.approx(distance)


def test_edit_distance_of_single_words() -> None:
    assert ngram_edit_distance("a b c d", "a b x d", n=1) == pytest.approx(1 / 4)


@steady
@given(SENTENCE, SENTENCE)
def test_a_distance_is_a_distance(first: str, second: str) -> None:
    distance = ngram_edit_distance(first, second)
    assert 0 <= distance <= 1
    assert distance == ngram_edit_distance(second, first)
    assert (distance == 0) == (first.split() == second.split())


@steady
@given(st.lists(SENTENCE, max_size=5))
def test_saying_everything_twice_is_half_as_distinct(texts: list[str]) -> None:
    assert distinct_n(texts * 2) == pytest.approx(distinct_n(texts) / 2)
