"""Every filter, alone and with others, and every order, on both kinds of store."""

from itertools import pairwise
from typing import Any

import pytest

from openmic.core.errors import NotFoundError
from openmic.core.records import Agent, Stage
from openmic.store import Store
from openmic.store.search.filters import ORDERS, DialogueFilter, DialogueOrder
from openmic.store.tags import tag_changes

from ..rows import dialogue, talk_rows, turn, verdict

RUN = "RUN1"


@pytest.fixture
def talk(store: Store) -> Store:
    store.add(
        *talk_rows(),
        turn(0, id="b0", dialogue_id="b9", adapter_version=2),
        turn(1, id="b1", dialogue_id="b9", content="un café noir"),
        turn(2, id="b2", dialogue_id="b9", agent=Agent.JUDGE, kind="verdict"),
        turn(3, id="b3", dialogue_id="b9", agent=Agent.JUDGE, kind="verdict"),
        verdict(
            id="vb",
            dialogue_id="b9",
            first_turn_id="b0",
            second_turn_id="b1",
            forward_turn_id="b2",
            reverse_turn_id="b3",
            outcome="tie",
            consistent=False,
        ),
    )
    store.add(*tag_changes(store, store.resolve_dialogue("c9"), ["keep"], author="ann"))
    return store


def found(store: Store, order: DialogueOrder = "started", **wanted: Any) -> list[str]:
    lines = store.dialogues(RUN, DialogueFilter(**wanted), order=order)
    assert store.count_dialogues(RUN, DialogueFilter(**wanted)) == len(lines)
    assert store.count_dialogues(RUN, DialogueFilter(**wanted), most=1) == min(1, len(lines))
    return [line.dialogue.id for line in lines]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["a9", "d1", "c9", "b9"]),
        ({"stage": Stage.COLLECT}, ["d1", "c9", "b9"]),
        ({"round": 0}, ["a9"]),
        ({"status": "failed"}, ["c9"]),
        ({"stop_reason": "accepted"}, ["d1"]),
        ({"agent": Agent.TEACHER}, ["a9"]),
        ({"agent": Agent.STUDENT}, ["d1", "b9"]),
        ({"adapter_version": 2}, ["b9"]),
        ({"adapter_version": 7}, []),
        ({"verdict": "win"}, ["d1"]),
        ({"verdict": "tie"}, ["b9"]),
        ({"verdict": "loss"}, []),
        ({"verdict": "inconsistent"}, ["b9"]),
        ({"tag": "keep"}, ["c9"]),
        ({"text": "REVISED"}, ["d1"]),
        ({"text": '"am late"'}, ["d1"]),
        ({"text": "cafe"}, ["b9"]),
        ({"text": "bus"}, ["a9", "c9", "b9"]),
        ({"text": "%"}, ["a9", "c9", "b9"]),
        ({"text": "_"}, []),
        ({"text": "late bus"}, []),
        ({"text": "bus", "status": "failed", "tag": "keep"}, ["c9"]),
        ({"agent": Agent.CRITIC, "verdict": "win", "round": 1, "text": "draft"}, ["d1"]),
        ({"agent": Agent.CRITIC, "round": 2}, []),
    ],
    ids=str,
)
def test_a_dialogue_must_be_like_all_that_is_asked_for(talk: Store, wanted: dict[str, Any], ids: list[str]) -> None:
    assert found(talk, **wanted) == ids


@pytest.mark.parametrize(
    ("text", "ids"), [("REVISED", ["d1"]), ('"am late"', ["d1"]), ("bus", ["a9", "c9", "b9"]), ("late bus", [])]
)
def test_common_words_are_found_in_the_same_dialogues_as_rare_ones(
    talk: Store, monkeypatch: pytest.MonkeyPatch, text: str, ids: list[str]
) -> None:
    monkeypatch.setattr("openmic.store.search.filters._COMMON", -1)  # PostgreSQL looks for them in another way
    assert found(talk, text=text) == ids


def test_a_filter_says_what_it_asks_for(talk: Store) -> None:
    assert DialogueFilter(round=0, tag="x").as_json() == {"round": 0, "tag": "x"}
    assert DialogueFilter().empty
    assert not DialogueFilter(round=0).empty
    assert talk.dialogues("none", DialogueFilter(round=0)) == []


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("started", ["a9", "d1", "c9", "b9"]),
        ("-started", ["b9", "c9", "d1", "a9"]),
        ("input", ["d1", "a9", "b9", "c9"]),
        ("-input", ["c9", "b9", "a9", "d1"]),
        ("turns", ["c9", "a9", "b9", "d1"]),
        ("-turns", ["d1", "b9", "a9", "c9"]),
    ],
)
def test_dialogues_in_each_order(talk: Store, order: DialogueOrder, ids: list[str]) -> None:
    assert found(talk, order) == ids


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("wanted", [DialogueFilter(), DialogueFilter(text="bus")], ids=str)
def test_pages_and_neighbours_follow_the_order(talk: Store, order: DialogueOrder, wanted: DialogueFilter) -> None:
    talk.add(dialogue(id="e9", round=3, example_id="e2"))
    whole = [line.dialogue.id for line in talk.dialogues(RUN, wanted, order=order)]
    assert len(whole) > 3
    for before, after in pairwise(whole):
        [line] = talk.dialogues(RUN, wanted, order=order, limit=1, after=before)
        assert line.dialogue.id == after
        assert talk.neighbours(before, wanted, order)[1] == after
        assert talk.neighbours(after, wanted, order)[0] == before
    assert talk.neighbours(whole[0], wanted, order)[0] is None
    assert talk.neighbours(whole[-1], wanted, order)[1] is None


def test_neighbours_of_a_dialogue_that_does_not_pass_the_filter(talk: Store) -> None:
    assert talk.neighbours("d1", DialogueFilter(text="bus")) == ("a9", "c9")
    with pytest.raises(NotFoundError, match="'none'"):
        talk.neighbours("none")
