import pytest

from openmic.simulator.humor.sentences import read_sentence


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("The ticket machine rejected my coins.", ["the machine", "the coins"]),
        ("My compost heap smells worse than the farm.", ["the heap", "the farm"]),
        ("Lucy was stuck in there for an hour.", ["Lucy"]),
        ("Weeds are growing everywhere.", ["the weeds"]),
        ("Jonas will turn forty on a Monday.", []),
        ("It rained again.", []),
        ("The doctor's waiting room was cold.", ["the room"]),
        ("Our aunt phones during every meal.", ["the aunt", "the meal"]),
        ("", []),
        ("???", []),
        ("漢字 only", []),
    ],
)
def test_nouns(sentence: str, names: list[str]) -> None:
    assert [noun.name for noun in read_sentence(sentence).nouns] == names


def test_plural_nouns_are_known_as_such() -> None:
    assert [noun.plural for noun in read_sentence("The bus left the children and the coins behind.").nouns] == [
        False,
        True,
        True,
    ]


def test_the_final_stop_goes_and_a_question_mark_stays() -> None:
    assert read_sentence("  The bus\n left.  ").body == "The bus left"
    assert read_sentence("Has the bus left?").body == "Has the bus left?"
    assert read_sentence('"The bus left."').body == '"The bus left'
    assert read_sentence("Has the bus left?").question
    assert not read_sentence("The bus left").question


def test_inner_lowers_function_words_alone() -> None:
    assert read_sentence("The bus left.").inner == "the bus left"
    assert read_sentence("I left.").inner == "I left"
    assert read_sentence("Lucy left.").inner == "Lucy left"
