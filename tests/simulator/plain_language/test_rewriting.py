import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.text import words
from openmic.simulator.plain_language.lexicon import OFFICIALESE
from openmic.simulator.plain_language.rewriting import rewrite, sentences
from openmic.simulator.plain_language.turns import turn


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (
            "Passengers are requested to refrain from smoking prior to departure.",
            "Please stop smoking before leaving.",
        ),
        ("Should you be in receipt of a pension, write to us.", "If you are getting a pension, write to us."),
        ("The fee amounting to $15 is to be paid forthwith.", "The fee of $15 must be paid"),
        ("No person shall deposit refuse in the courtyard.", "Nobody may deposit rubbish in the courtyard."),
        ("The tenant shall furnish the landlord with a key.", "give the landlord a key."),
        ("The keys were purchased in 1990; the locks are older.", "The keys were bought in 1990; the locks are older."),
        ("An additional week is permitted.", "An extra week is allowed."),
        ("Written approval is requisite", "Written approval is needed."),
    ],
)
def test_officialese_becomes_plain(source: str, plain: str) -> None:
    assert plain in rewrite(source, "k")


def test_readers_may_be_left_as_they_are() -> None:
    source = "Applicants are required to sign the form."
    spoken = {rewrite(source, key) for key in range(20)}
    assert {"You must sign the form.", "You have to sign the form."} & spoken
    assert all("Applicants" in rewrite(source, key, address=False) for key in range(20))


def test_long_sentences_are_split_and_short_ones_are_not() -> None:
    source = (
        "The permit for the garage is valid for twelve months from the day of issue; however, the holder must show it "
        "to the guard at the gate, and the guard may keep a copy of it for the files."
    )
    assert len(sentences(rewrite(source, "k"))) == 3
    assert len(sentences(rewrite(source, "k", split=False))) == 1
    assert len(sentences(rewrite("It rained; we left.", "k"))) == 1


def test_some_officialese_can_be_kept() -> None:
    [entry] = {hit.entry for hit in OFFICIALESE.find(words("prior to"))}
    assert rewrite("Submit it prior to lunch.", "k", keep=[entry]).endswith("prior to lunch.")


def test_what_stands_on_both_sides_of_a_comma_is_no_phrase() -> None:
    assert "in, the event that" in rewrite("He came in, the event that he had missed was over.", "k")


def test_shipped_notices_lose_all_of_their_officialese(notices: list[str]) -> None:
    for notice in notices:
        text = rewrite(notice, "k")
        assert list(OFFICIALESE.find(words(text))) == [], text
        assert "\n" not in text
        assert text[0].isupper() or not text[0].isalpha()
        assert text.endswith((".", "!", "?"))
        assert "  " not in text


def test_sentences_end_at_stops_alone() -> None:
    assert sentences("Come by 15:30. Bring No. 4. It costs 3.50 euros.") == [
        "Come by 15:30.",
        "Bring No. 4.",
        "It costs 3.50 euros.",
    ]


def test_clauses_change_places_and_words_are_shortened() -> None:
    source = "You cannot enter the hall unless you have a ticket."
    assert {turn(source, key) for key in range(40)} == {
        source,
        "You can't enter the hall unless you have a ticket.",
        "Unless you have a ticket, you cannot enter the hall.",
        "Unless you have a ticket, you can't enter the hall.",
    }
    there = "If the lift is broken, use the stairs at the back."
    assert "Use the stairs at the back if the lift is broken." in {turn(there, key) for key in range(20)}


@given(st.text(max_size=60))
def test_any_text_with_a_word_is_rewritten_to_one_with_a_word(source: str) -> None:
    if words(source):
        assert words(rewrite(source, "k"))
