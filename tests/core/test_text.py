import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.text import ending, fold, length, printable, spoken, words

from ..properties import steady

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("The Bus -- (late!) left_town; at 7:30.") == ["the", "bus", "late", "left", "town", "at", "7", "30"]


@pytest.mark.parametrize(
    ("text", "found"), [("don't", ["don't"]), ("It’s", ["it’s"]), ("'tis cats' 'x'", ["tis", "cats", "x"])]
)
def test_apostrophes_stay_inside_words_alone(text: str, found: list[str]) -> None:
    assert words(text) == found


SPACED = [
    ("Ça va, Ördög? Да — нет.", ["ça", "va", "ördög", "да", "нет"]),
    ("Straßenbahnfahrer*innen: 3,5 km²!", ["straßenbahnfahrer", "innen", "3", "5", "km²"]),
    ("한국어는 띄어 쓴다.", ["한국어는", "띄어", "쓴다"]),
    ("हिन्दी में लिखा है।", ["हिन्दी", "में", "लिखा", "है"]),
    ("שָׁלוֹם, עולם", ["שָׁלוֹם", "עולם"]),
    ("السَّلامُ عليكم، ١٢٣", ["السَّلامُ", "عليكم", "١٢٣"]),
    ("نیم\u200cروز بروم", ["نیم\u200cروز", "بروم"]),
    ("བོད་སྐད་", ["བོད", "སྐད"]),
    ("The bus 😂👩\u200d👧 left 1️⃣ time ❤️", ["the", "bus", "left", "1", "time"]),
    ("Donau\u00addampf", ["donaudampf"]),
    ("cafe\u0301 café", ["café", "café"]),
]


@pytest.mark.parametrize(("text", "found"), SPACED)
def test_where_there_are_spaces_words_are_counted(text: str, found: list[str]) -> None:
    assert words(text) == found
    assert length(text) == len(found)


UNSPACED = [
    ("公交车走了，没有等我。", 9),
    ("バスは行っちゃった！", 9),
    ("コンピューター", 7),
    ("ﾊﾝｶｸ", 4),
    ("人々〇", 3),
    ("𠮷野家", 3),
    ("葛\U000e0100飾", 2),  # a variant of the sign, chosen by a mark that nobody sees
    ("รถเมล์ไปแล้ว", 10),
    ("น้ำ", 1),
    ("ລາວ", 3),
    ("ភាសាខ្មែរ", 5),
    ("မြန်မာ", 3),
]


@pytest.mark.parametrize(("text", "count"), UNSPACED)
def test_where_there_are_no_spaces_letters_are_counted(text: str, count: int) -> None:
    assert length(text) == count
    assert "".join(words(text)) == fold(text) != ""


def test_marks_belong_to_their_letter() -> None:
    assert words("น้ำมันแพง") == ["น้ำ", "มั", "น", "แ", "พ", "ง"]


def test_a_mixed_text_is_counted_in_both() -> None:
    assert words("iPhone 15が2024年に出た, didn't it?") == [
        *("iphone", "15", "が", "2024", "年", "に", "出", "た", "didn't", "it")
    ]
    assert fold("The 猫が Say: 2024年!") == "the 猫が say 2024 年"


LATIN = st.text(
    st.characters(max_codepoint=0x24F, exclude_characters="\u00ad") | st.sampled_from("aB9'’ ‘“”—…")
).filter(lambda text: "\u00ad" not in text)


@steady
@given(LATIN)
def test_latin_texts_are_read_the_same_with_or_without_another_script_beside_them(text: str) -> None:
    assert words(f"{text} 猫") == [*words(text), "猫"]


def test_texts_that_differ_in_case_spacing_and_punctuation_fold_to_the_same() -> None:
    assert fold("  The bus,\n LEFT! ") == fold("the bus left") == "the bus left"
    assert fold("the bus left") != fold("the buses left")
    assert fold("?! …") == fold("😂") == ""


def test_scripts_without_spaces_fold_to_what_was_written() -> None:
    assert fold("猫") == "猫"
    assert fold("公交车 走了，\n没有等我!") == fold("公交车走了没有等我。") == "公交车走了没有等我"
    assert fold("公交车走了") != fold("公交车来了")
    assert fold("ﬁ e\u0301") == fold("ﬁ, é")


def test_the_ending_is_the_last_words_folded() -> None:
    assert ending("And the toaster sends its Regards!") == "sends its regards"
    assert ending("And the toaster sends its Regards!", 1) == "regards"
    assert ending("Oh no.") == "oh no"
    assert ending("") == ""


def test_in_a_script_without_spaces_the_ending_is_twice_as_many_letters() -> None:
    assert ending("公交车走了，没有等我。") == "走了没有等我"
    assert ending("公交车没有了，the end") == "有了 the end"
    assert ending("我去。") == "我去"


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0, "0 s"), (0.25, "0.25 s"), (7.4, "7 s"), (99, "99 s"), (160, "3 min"), (5940, "99 min")),
        *((9000, "2.5 h"), (86_400, "24 h"), (345_600, "4 days"), (86_400 * 365 * 3, "3 years")),
    ],
)
def test_a_length_of_time_is_said_in_the_unit_that_fits_it(seconds: float, said: str) -> None:
    assert spoken(seconds) == said
