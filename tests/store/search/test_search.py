"""Search, which answers alike on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from openmic.core.errors import NotFoundError
from openmic.store import Dialogue, ExampleRow, Store, Turn
from openmic.store.search import search as searching
from openmic.store.search.search import SearchHit, search, snippet
from openmic.store.search.words import example_matches, terms_of, turn_matches

from ..rows import dialogue, example, run, turn

START = datetime(2025, 1, 1, tzinfo=UTC)
SAID = (
    "My umbrella left me. It said it needed space.",
    "The umbrella, my umbrella! Nobody expects an umbrella at a UMBRELLA party, or do they? " * 3,
    "Well-known fact: crème brûlée is and/or was late.Then it left",
    "don't panic; version 3.5 of mañana@example.org was never",
    "We said: it needed more space",
    "\U0001f600umbrellas\U0001f600 are another word — naïve, ﬁne",
)


@pytest.fixture
def talk(store: Store) -> Store:
    """A run whose dialogue d1 says everything, and another run that says the first thing again."""
    store.add(
        run(id="RUN2"),
        example(id="e2", text="I lost my umbrella on the train"),
        example(id="e3", text="an umbrella nobody speaks about"),
        dialogue(started_at=START, final_turn_id="t1"),
        dialogue(id="d2", run_id="RUN2", example_id="e2", started_at=START + timedelta(hours=1)),
        dialogue(id="d3", run_id="RUN2", example_id="e2", round=2, started_at=START + timedelta(hours=2)),
        *(turn(seq, content=text, created_at=START + timedelta(seconds=seq)) for seq, text in enumerate(SAID)),
        turn(0, id="u0", run_id="RUN2", dialogue_id="d2", content=SAID[0], created_at=START + timedelta(hours=1)),
        turn(0, id="w0", run_id="RUN2", dialogue_id="d3", content="nothing to do with it"),
    )
    return store


def ids(hits: list[SearchHit]) -> list[str]:
    return [hit.turn.id for hit in hits]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("umbrella", ["t1", "u0", "t0", "w0"]),
        ("UMBRELLA space", ["u0", "t0"]),
        ('"needed space"', ["u0", "t0"]),
        ('"it needed" space', ["t4", "u0", "t0"]),
        ("creme BRULEE", ["t2"]),
        ("late then", ["t2"]),
        ("well-known", ["t2"]),
        ("known-well", []),
        ("and or", ["t2"]),
        ("don't", ["t3"]),
        ("3.5", ["t3"]),
        ("manana example", ["t3"]),
        ("umbrellas", ["t5"]),
        ("naive", ["t5"]),
        ("train", ["w0"]),
        ("RUN1", []),
        ("the an it is", []),
        ("unheard", []),
        ("?!", []),
    ],
)
def test_what_is_found_and_in_which_order(talk: Store, query: str, found: list[str]) -> None:
    assert ids(search(talk, query)) == found


UNSPACED = (
    "我把第三把雨伞忘在了火车上，今天又下雨了。",
    "上司が会議で「ガラスの天井」について30分話した。人々は寝た",
    "แมวของผมกินข้าวเย็นหมดแล้ว แล้วก็นอน",
    "어제 회의에서 우산을 잃어버렸다",
    "ខ្ញុំបានបាត់ឆ័ត្រ The 雨伞 was mine, DVD を買う",
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("雨伞", [0, 4]),
        ("火车", [0]),
        ("车火", []),
        ("雨", [0, 4]),
        ("雨伞 火车", [0]),
        ("火車", []),
        ("会議", [1]),
        ("ガラス", [1]),
        ("カラス", []),
        ("カ\u3099ラス", [1]),  # decomposed
        ("人々", [1]),
        ("30分", [1]),
        ("天井」について", [1]),
        ("แมว", [2]),
        ("กินข้าว", [2]),
        ("กัน", []),
        ("ข้าวเย็น", [2]),
        ("우산을", [3]),
        ("우산", []),  # Korean has spaces, and words as others have
        ("ឆ័ត្រ", [4]),
        ('"the 雨伞 was"', [4]),
        ("DVDを", [4]),
    ],
)
def test_words_within_texts_of_scripts_without_spaces(store: Store, query: str, found: list[int]) -> None:
    store.add(dialogue(), *(turn(seq, content=text) for seq, text in enumerate(UNSPACED)))
    hits = search(store, query)
    assert {hit.turn.seq for hit in hits} == set(found)
    for hit in hits:
        assert any(matched for _, matched in hit.snippet)
        assert "".join(piece for piece, _ in hit.snippet).strip("…") in hit.turn.content


def test_inputs_of_scripts_without_spaces_are_found_and_pruned_turns_are_not(store: Store) -> None:
    store.add(example(id="e9", text="昨天我的雨伞又坏了"), dialogue(example_id="e9"), turn(0, content="ok"))
    assert ids(search(store, "雨伞")) == ["t0"]
    assert search(store, "雨伞")[0].in_input


def test_in_one_run(talk: Store) -> None:
    assert ids(search(talk, "umbrella", run_id="RUN1")) == ["t1", "t0"]
    assert ids(search(talk, "umbrella", run_id="RUN2")) == ["u0", "w0"]
    assert search(talk, "umbrella", run_id="RUN") == []


def test_a_hit_says_where_and_why(talk: Store) -> None:
    said, _, _, about = search(talk, "umbrella")
    assert (said.dialogue.id, said.example_text, said.in_input) == ("d1", "I am late", False)
    assert [piece for piece, matched in said.snippet if matched][:2] == ["umbrella", "umbrella"]
    assert said.snippet[-1] == ("…", False)
    # An input stands for its dialogues through the latest of them.
    assert (about.dialogue.id, about.turn.id, about.in_input) == ("d3", "w0", True)
    assert about.snippet == [("I lost my ", False), ("umbrella", True), (" on the train", False)]


def test_pages(talk: Store) -> None:
    every = search(talk, "umbrella")
    assert ids(search(talk, "umbrella", limit=2)) == ids(every[:2])
    assert ids(search(talk, "umbrella", limit=2, after=every[1].turn.id)) == ids(every[2:])
    assert search(talk, "umbrella", after=every[-1].turn.id) == []
    with pytest.raises(NotFoundError, match="'t4' is not among the hits"):
        search(talk, "umbrella", after="t4")


def test_of_too_many_the_latest_are_ranked(talk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LATEST_TURNS", 2)
    assert {hit.turn.id for hit in search(talk, "umbrella") if not hit.in_input} == {"u0", "t1"}


def test_conditions_for_other_statements(talk: Store) -> None:
    terms = terms_of("umbrella space")
    assert [row.id for (row,) in talk.rows(select(Turn).where(turn_matches(terms)).order_by(Turn.id))] == ["t0", "u0"]
    # Of the columns that are indexed only the content is meant.
    assert talk.rows(select(Turn).where(turn_matches(terms_of("RUN1")))) == []
    other = select(col(Turn.id)).where(turn_matches(terms_of("brulee")))
    assert [row[0] for row in talk.rows(other)] == ["t2"]
    inputs = select(col(Dialogue.id)).join(ExampleRow).where(example_matches(terms_of("train")))
    assert {row[0] for row in talk.rows(inputs)} == {"d2", "d3"}


def test_texts_of_a_megabyte(store: Store) -> None:
    store.add(dialogue(), turn(0, content="needle " + "x" * 1_000_000))
    store.add(turn(1, content=" ".join(f"w{number}" for number in range(150_000)) + " needle"))
    store.add(turn(2, content="\U0001f600" * 300_000))
    hits = search(store, "needle")
    assert "t0" in ids(hits)
    assert all(sum(len(piece) for piece, _ in hit.snippet) < 300 for hit in hits)


@pytest.mark.parametrize(
    ("text", "query", "pieces"),
    [
        ("short", "short", [("short", True)]),
        ("nothing here", "else", [("nothing here", False)]),
        ("a b c", '"a b" b', [("a b", True), (" c", False)]),
        ("", "x", []),
    ],
)
def test_snippets(text: str, query: str, pieces: list[tuple[str, bool]]) -> None:
    assert snippet(text, terms_of(query)) == pieces


def test_a_snippet_of_a_long_text_is_around_its_match() -> None:
    text = "before " * 100 + "NEEDLE" + " after" * 100
    pieces = snippet(text, terms_of("needle"))
    assert pieces[0] == pieces[-1] == ("…", False)
    assert ("NEEDLE", True) in pieces
    shown = "".join(piece for piece, _ in pieces[1:-1])
    assert shown in text
    assert shown.startswith("before")
    assert shown.endswith("after")
