import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.text import ending, fold, printable, words

from ..properties import steady

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("The Bus -- (late!) left_town; at 7:30.") == ["the", "bus", "late", "left", "town", "at", "7", "30"]


@pytest.mark.parametrize(
    ("text", "found"), [("don't", ["don't"]), ("It’s", ["it’s"]), ("'tis cats' 'x'", ["tis", "cats", "x"])]
)
def test_apostrophes_stay_inside_words_alone(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_words_of_other_scripts_are_words() -> None:
    assert words("Ça va, Ördög? Да — нет. 你好") == ["ça", "va", "ördög", "да", "нет", "你好"]


def test_texts_that_differ_in_case_spacing_and_punctuation_fold_to_the_same() -> None:
    assert fold("  The bus,\n LEFT! ") == fold("the bus left") == "the bus left"
    assert fold("the bus left") != fold("the buses left")
    assert fold("?! …") == ""


def test_the_ending_is_the_last_words_folded() -> None:
    assert ending("And the toaster sends its Regards!") == "sends its regards"
    assert ending("And the toaster sends its Regards!", 1) == "regards"
    assert ending("Oh no.") == "oh no"
    assert ending("") == ""


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[31m",
        "\x1b[1;38;5;9m",
        "\x1b[2J",
        "\x1b[?25l",
        "\x1b]0;pwned\x07",
        "\x1b]8;;http://example.org\x1b\\",
        "\x1b]52;c;cm0gLXJm\x07",
        "\x1bM",
        "\x9b",
        "\x07",
        "\x00",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200f",
        "\u061c",
    ],
)
def test_escape_sequences_and_bidirectional_overrides_are_not_printed(sequence: str) -> None:
    assert printable(f"be{sequence}fore") == "before"


def test_a_sequence_that_only_appears_when_another_is_taken_out_is_harmless() -> None:
    assert printable("\x1b\x1b[31m[31mred") == "[31mred"
    assert printable("\x1b\x00[31mred") == "[31mred"


def test_new_lines_and_tabs_stay_and_carriage_returns_overwrite_nothing() -> None:
    assert printable("a\tb\nc\r\nd\re") == "a\tb\nc\nd\ne"


def test_ordinary_text_is_left_as_it_is() -> None:
    text = "Zoë's “café” cost 3 € [0m] — 你好 🤖"
    assert printable(text) == text


@steady
@given(st.text(st.characters() | st.sampled_from("\x1b[]()\\;m0\x07\x9b\u202e\r\n")))
def test_nothing_unsafe_gets_through(text: str) -> None:
    shown = printable(text)
    assert not UNSAFE.search(shown)
    assert printable(shown) == shown
