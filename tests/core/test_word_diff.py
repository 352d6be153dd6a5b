import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.word_diff import DiffPiece, word_diff

_PIECES = (
    "the",
    "bus",
    "was",
    "late",
    "don't",
    ",",
    ".",
    "_",
    " ",
    "\n",
    "\r",
    "漢字",
    "é",
    "น้ำ",
    "\u0301",
    "\u200d",
    "👩",
)
WORDS = st.lists(st.sampled_from(_PIECES)).map("".join)


def shown(before: str, after: str) -> str:
    marks = {"same": "{}", "removed": "[-{}-]", "added": "[+{}+]"}
    return "".join(marks[piece.kind].format(piece.text) for piece in word_diff(before, after))


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("The bus was late.", "The bus was early.", "The bus was [-late-][+early+]."),
        ("I burned toast", "I burned the toast", "I burned [+the +]toast"),
        ("one two three", "one 2 3", "one [-two three-][+2 3+]"),
        ("it don't matter", "it doesn’t matter", "it [-don't-][+doesn’t+] matter"),
        ("公交车走了。", "公交车来了。", "公交车[-走-][+来+]了。"),
        ("น้ำมันแพง", "น้ำมันถูก", "น้ำมัน[-แพง-][+ถูก+]"),
        ("हिन्दी में", "हिन्दू में", "[-हिन्दी-][+हिन्दू+] में"),
        ("oh 👩\u200d👧!", "oh 👩\u200d👦!", "oh [-👩\u200d👧-][+👩\u200d👦+]!"),
        ("same", "same", "same"),
        ("", "new", "[+new+]"),
        ("", "", ""),
    ],
)
def test_a_change_is_shown_in_whole_words(before: str, after: str, wanted: str) -> None:
    assert shown(before, after) == wanted


@given(WORDS, WORDS)
def test_the_pieces_make_up_both_texts(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after
    assert all(piece.text for piece in pieces)
    assert word_diff(before, before) == ([DiffPiece(before, "same")] if before else [])


def test_texts_too_long_to_compare_share_their_beginning_and_their_end() -> None:
    before, after = "start " + "a b " * 6000 + "end", "start " + "b c " * 6000 + "end"
    assert [piece.kind for piece in word_diff(before, after)] == ["same", "removed", "added", "same"]
    assert word_diff(before, after)[-1].text == " end"
