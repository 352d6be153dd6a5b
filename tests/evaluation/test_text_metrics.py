import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from openmic.core.text import words
from openmic.evaluation.text_metrics import (
    Known,
    distinct_n,
    length_ratio,
    ngram_edit_distance,
    ngrams,
    reused_endings,
    self_bleu,
    unique_endings,
)

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


TEXTS = [
    "The bus was late, and it apologised in writing.",
    "The bus was late, and it apologised to the stop.",
    "My umbrella has left me for somebody who lives where it rains.",
    "Late.",
    "The the the the bus bus bus bus.",
    "公交车走了，没有等我。",
    "公交车走了，也没有等你。",
]


def test_self_bleu_is_nltks() -> None:
    said = [words(text) for text in TEXTS]
    smooth = SmoothingFunction().method1
    expected = [
        sentence_bleu(said[:place] + said[place + 1 :], own, smoothing_function=smooth)
        for place, own in enumerate(said)
    ]
    assert self_bleu(TEXTS, seed=1) == pytest.approx(sum(expected) / len(expected))


def test_self_bleu_tells_texts_that_repeat_each_other_from_others() -> None:
    assert self_bleu(["We all laughed at the very same joke."] * 5, seed=1) == pytest.approx(1)
    assert self_bleu(["", "", "A joke."], seed=1) == pytest.approx(2 / 3)
    assert self_bleu(["", "A joke."], seed=1) == 0
    assert self_bleu(["Alone."], seed=1) is None


def test_self_bleu_of_many_and_of_endless_texts_takes_a_sample_of_them() -> None:
    many = [f"The bus number {number} was late again today." for number in range(3000)]
    assert self_bleu(many, seed=1) == self_bleu(many, seed=1)
    assert 0.4 < (self_bleu(many, seed=1) or 0) < 1
    assert self_bleu([f"{number} " + "laugh " * 20_000 for number in range(20)], seed=1) == pytest.approx(1, abs=0.02)


def test_endings_that_others_have_are_reused() -> None:
    texts = ["It hired a lawyer.", "She hired a lawyer!", "Nobody laughed at it.", "", ""]
    assert reused_endings(texts) == 0.8
    assert unique_endings(texts) == 0.6
    assert reused_endings([]) == unique_endings([]) == 0


def test_known_texts_are_recognised_whole_and_in_part() -> None:
    known = Known(["The bus was late again.", "No."])
    assert known.holds("the BUS was late again")
    assert not known.holds("The bus was late")
    assert known.overlap("The bus was late, as ever.") == pytest.approx(1 / 3)
    assert (known.overlap("no"), known.overlap("nope"), known.overlap("")) == (1, 0, 0)
