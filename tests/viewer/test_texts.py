import pytest

from openmic.viewer.texts import LONG, brief, plain, shown


def test_a_text_is_escaped() -> None:
    assert str(shown("<b>a & b</b> \"c\" 'd'")) == "&lt;b&gt;a &amp; b&lt;/b&gt; &#34;c&#34; &#39;d&#39;"


def test_lines_and_tabs_and_other_scripts_stay() -> None:
    text = "one\n\ttwo\r\nthree שלום 👩\u200d👧"
    assert str(shown(text)) == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\x1b", "ESC"),
        ("\x00", "NUL"),
        ("\r", "CR"),
        ("\x9b", "U+009B"),
        ("\u202e", "U+202E"),
        ("\u2066", "U+2066"),
        ("\ufeff", "U+FEFF"),
        ("\u200b", "U+200B"),
        ("\u2028", "U+2028"),
        ("\U000e0041", "U+E0041"),
    ],
)
def test_what_cannot_be_seen_is_named_where_it_stands(character: str, name: str) -> None:
    page = str(shown(f"a{character}b"))
    assert character not in page
    assert f">{name}</span>b" in page
    assert plain(f"a{character}b") == f"a[{name}]b"


def test_a_long_text_is_cut() -> None:
    page = str(shown("x" * 1_000_000))
    assert LONG < len(page) < LONG + 200
    assert "cut here" in page
    assert "cut here" not in str(shown("x" * LONG))


@pytest.mark.parametrize("text", ["a " * 5000, "y" * 1_000_000, "word " * 60, "\n\n" * 300 + "end"])
def test_a_line_keeps_both_ends_within_its_width(text: str) -> None:
    line = brief(text, 50)
    assert len(line) <= 50
    assert "\n" not in line
    beginning, _, end = line.partition(" … ")
    assert " ".join(text.split()).startswith(beginning)
    assert " ".join(text.split()).endswith(end)


def test_a_line_is_cut_between_words() -> None:
    assert brief("one two three four five six seven eight nine", 24) == "one two … eight nine"


def test_a_short_text_is_its_own_line() -> None:
    assert brief(" a\n b ", 50) == "a b"
