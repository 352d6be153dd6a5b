import json
from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.evaluation.measures import Novelty, copied, copy, distinct_2, faithfulness, length, length_ratio

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


def test_a_copy_is_the_input_whatever_its_case() -> None:
    outputs = [SENTENCE.upper().rstrip("."), "The ticket machine rejected my coins, twice.", "", "😀"]
    assert copy(SENTENCE, outputs) == [1.0, 0.0, 0.0, 0.0]
    assert copied(SENTENCE, outputs) == [1.0, 0.75, 0.0, 0.0]
    assert copied({"first": "one two three", "second": "four five"}, ["two three four five"]) == [1.0]
    assert copy("公交车走了。", ["公交车走了"]) == [1.0]


def test_novelty_is_told_from_a_file_of_what_was_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "demonstrations.jsonl"
    rows = [{"output": "The machine hired a lawyer at once."}, {"output": ["It went on strike.", "😀"]}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    scorer = Novelty(str(path))
    outputs = [
        "the machine hired a LAWYER at once",
        "The machine hired a lawyer, and then",
        "It went on strike!",
        "😀",
        "😂",
    ]
    assert scorer(SENTENCE, outputs) == [0.0, 0.5, 0.0, 0.0, 1.0]
    assert Novelty(str(path), field="output")("", [""]) == [1.0]


@pytest.mark.parametrize("row", [{"output": 3}, {"output": None}, {"other": "text"}, {"output": []}])
def test_a_file_without_texts_is_no_ground_for_novelty(row: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(ConfigError, match=r"novelty: .*give a text, or a list of them, in each row"):
        Novelty(str(path))
    with pytest.raises(ConfigError, match="novelty: there is no file"):
        Novelty(str(tmp_path / "none.jsonl"))
