import pytest

from openmic.evaluation.measures import distinct_2, faithfulness, length, length_ratio

SENTENCE = "The ticket machine rejected my coins."


def test_length_counts_words_and_letters_where_there_are_none() -> None:
    assert length(SENTENCE, ["", "Two words.", "券売機が"]) == [0.0, 2.0, 4.0]


def test_length_ratio_is_to_all_fields_of_an_input() -> None:
    assert length_ratio("one two", ["one two three four", ""]) == [2.0, 0.0]
    assert length_ratio({"question": "one two", "context": "three four"}, ["one two three four"]) == [1.0]


def test_distinct_2_is_within_each_output() -> None:
    assert distinct_2("", ["a b c", "a b a b a b", "", "word"]) == [1.0, pytest.approx(2 / 5), 0.0, 1.0]


def test_faithfulness_is_the_share_of_content_words_that_are_kept() -> None:
    kept, lost = "Rejecting coins, the ticket machines went on strike.", "The machine laughed."
    assert faithfulness(SENTENCE, [SENTENCE, kept, lost, ""]) == [1.0, 1.0, 0.25, 0.0]


def test_faithfulness_counts_a_word_as_often_as_the_input_says_it() -> None:
    assert faithfulness("coin coin bus", ["coin bus"]) == [pytest.approx(2 / 3)]


def test_faithfulness_of_any_language_and_of_several_fields() -> None:
    assert faithfulness("Der Automat verweigert Münzen", ["der automat mag keine Münzen"]) == [pytest.approx(3 / 4)]
    assert faithfulness("券売機", ["券売"]) == [pytest.approx(2 / 3)]
    assert faithfulness({"question": "Which bus?", "context": "The bus is red."}, ["A red bus, another bus"]) == [1.0]


def test_nothing_to_keep_is_kept() -> None:
    assert faithfulness("...", ["anything", ""]) == [1.0, 1.0]
