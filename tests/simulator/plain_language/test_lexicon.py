import pytest

from openmic.core.text import words
from openmic.simulator.plain_language.lexicon import OFFICIALESE
from openmic.simulator.plain_language.verbs import verb_entries


def phrases(text: str) -> list[str]:
    return [" ".join(hit.entry.phrase) for hit in OFFICIALESE.find(words(text))]


def test_there_is_much_to_find() -> None:
    assert len({entry.phrase for entry in OFFICIALESE.entries}) == len(OFFICIALESE.entries) > 1000
    assert sum(len(entry.phrase) > 1 for entry in OFFICIALESE.entries) > 500


def test_the_longest_phrase_wins_and_none_overlaps() -> None:
    assert phrases("In the event that the form is submitted prior to arrival") == [
        "in the event that",
        "submitted",
        "prior to arrival",
    ]


def test_no_plain_wording_is_officialese_itself() -> None:
    stiff = {wording: phrases(wording) for entry in OFFICIALESE.entries for wording in entry.plain}
    assert {wording: found for wording, found in stiff.items() if found} == {}


def test_verbs_come_in_all_their_forms() -> None:
    forms = dict(verb_entries())
    assert forms["submitting"] == ("sending in", "sending")
    assert forms["notifies"] == ("tells",)
    assert forms["purchased"] == ("bought",)
    assert forms["commenced"] == ("started", "begun")
    assert forms["acceded to"] == ("agreed to",)
    assert forms["withheld"] == ("kept back",)


def test_a_lexicon_can_know_less_or_mind_more() -> None:
    assert list(OFFICIALESE.without("prior to").find(words("prior to lunch"))) == []
    assert len(list(OFFICIALESE.with_more("whose").find(words("whose form")))) == 1
    with pytest.raises(ValueError, match="prior too"):
        OFFICIALESE.without("prior too")
