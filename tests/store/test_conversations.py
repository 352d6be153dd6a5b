import json
from datetime import UTC, datetime, timedelta

import pytest

from openmic.core.errors import NotFoundError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling, Stage, TokenUsage
from openmic.store import Critique, Dialogue, DialogueLine, Store, overview

from .rows import dialogue, example, preference, run, turn, verdict

START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def talk(store: Store) -> Store:
    """One dialogue that went through everything, and a few that did not."""
    store.add(
        example(id="e2", text="The 100% bus"),
        dialogue(status="finished", stop_reason="accepted", final_turn_id="t5", started_at=START),
        turn(0, content="a Straße draft"),
        turn(1),
        turn(2, agent="critic", kind="verdict"),
        turn(3, agent="critic", kind="verdict"),
        turn(4, agent="critic", kind="critique"),
        turn(5, kind="revision", parent_turn_id="t0", content="a Revised draft"),
        turn(6, agent="critic", kind="verdict"),
        turn(7, agent="critic", kind="verdict"),
        verdict(id="v2", first_turn_id="t5", second_turn_id="t0", forward_turn_id="t6", reverse_turn_id="t7"),
        verdict(id="w1", created_at=datetime(2999, 1, 1, tzinfo=UTC)),
        Critique(turn_id="t4", target_turn_id="t0", works="w", missing="m", suggestion="s", parse_ok=True),
        preference(id="p2", chosen_turn_id="t5", rejected_turn_id="t0", source="revision", verdict_id="v2"),
        preference(id="p1", created_at=START),
        # Ids are hashes, so the order of the ids is not the order in time.
        dialogue(id="c9", example_id="e2", started_at=START + timedelta(seconds=1), status="failed", error="refused"),
        dialogue(id="b9", example_id="e2", round=2, started_at=START + timedelta(seconds=2)),
        dialogue(id="a9", example_id="e2", round=0, stage="demonstrate", started_at=START, status="finished"),
        turn(0, id="u0", dialogue_id="a9", agent="teacher", kind="demonstration"),
        run(id="RUN2"),
        dialogue(id="z9", run_id="RUN2", started_at=START),
    )
    return store


def ids(lines: list[DialogueLine]) -> list[str]:
    return [line.dialogue.id for line in lines]


def test_dialogues_in_the_order_they_were_begun(talk: Store) -> None:
    lines = talk.dialogues("RUN1")
    assert ids(lines) == ["a9", "d1", "c9", "b9"]
    assert [(line.example_text, line.turns, line.final_text) for line in lines] == [
        ("The 100% bus", 1, None),
        ("I am late", 8, "a Revised draft"),
        ("The 100% bus", 0, None),
        ("The 100% bus", 0, None),
    ]
    assert isinstance(lines[0].dialogue, Dialogue)


def test_dialogues_filtered(talk: Store) -> None:
    assert ids(talk.dialogues("RUN1", stage=Stage.REHEARSE)) == ids(talk.dialogues("RUN1", stage="rehearse"))
    assert ids(talk.dialogues("RUN1", stage="demonstrate")) == ["a9"]
    assert ids(talk.dialogues("RUN1", round=0)) == ["a9"]
    assert ids(talk.dialogues("RUN1", status="failed")) == ["c9"]
    assert ids(talk.dialogues("RUN1", stop_reason="accepted")) == ["d1"]
    assert ids(talk.dialogues("RUN1", round=1, status="pending")) == []
    assert ids(talk.dialogues("none")) == []


def test_dialogues_by_text(talk: Store) -> None:
    assert ids(talk.dialogues("RUN1", text="REVISED")) == ["d1"]
    assert ids(talk.dialogues("RUN1", text="am late")) == ["d1"]
    assert ids(talk.dialogues("RUN1", text="Straße")) == ["d1"]
    assert ids(talk.dialogues("RUN1", text="100% b")) == ["a9", "c9", "b9"]
    assert ids(talk.dialogues("RUN1", text="t_xt")) == []
    assert ids(talk.dialogues("RUN1", text="%")) == ["a9", "c9", "b9"]


def test_pages_join_up(talk: Store) -> None:
    first = ids(talk.dialogues("RUN1", limit=1))
    second = ids(talk.dialogues("RUN1", limit=2, after=first[-1]))
    third = ids(talk.dialogues("RUN1", limit=2, after=second[-1]))
    assert first + second + third == ids(talk.dialogues("RUN1"))
    assert ids(talk.dialogues("RUN1", stage="rehearse", limit=1, after="d1")) == ["c9"]
    with pytest.raises(NotFoundError, match="'none'"):
        talk.dialogues("RUN1", after="none")


def test_a_conversation_has_all_that_belongs_to_it(talk: Store) -> None:
    found = talk.conversation("d1")
    assert (found.dialogue.id, found.example.text, found.run.id) == ("d1", "I am late", "RUN1")
    assert [turn.seq for turn in found.turns] == list(range(8))
    assert [verdict.id for verdict in found.verdicts] == ["w1", "v2"]
    assert [critique.turn_id for critique in found.critiques] == ["t4"]
    assert [preference.id for preference in found.preferences] == ["p1", "p2"]


def test_a_conversation_that_has_not_begun(talk: Store) -> None:
    found = talk.conversation("b9")
    assert (found.turns, found.verdicts, found.critiques, found.preferences) == ([], [], [], [])
    with pytest.raises(NotFoundError, match="no dialogue 'none'"):
        talk.conversation("none")


def test_the_overview_counts_what_happened(talk: Store) -> None:
    for ordinal, usage in enumerate([TokenUsage(input=10, output=1), TokenUsage(input=20, output=2)]):
        asked = LLMRequest("critic", "big", (Message(role="user", content="?"),), Sampling(), 1, ordinal=ordinal)
        talk.save_reply("RUN1", asked, LLMReply(text="A", model="big", usage=usage))
    found = overview(talk, talk.resolve_run("RUN1"))
    assert json.loads(json.dumps(found)) == found
    assert found.pop("yields")["comparisons"] == {
        "candidates": {"made": 1, "ties": 0, "inconsistent": 0},
        "revision": {"made": 1, "ties": 0, "inconsistent": 0},
    }
    assert found.pop("verdicts")["count"] == 2
    assert found == {
        "dialogues": {"finished": 1, "failed": 1, "pending": 1},
        "stop_reasons": {"accepted": 1},
        "turns": 9,
        "turn_kinds": {"critique": 1, "demonstration": 1, "draft": 2, "revision": 1, "verdict": 4},
        "llm": {"critic": {"calls": 2, "input_tokens": 30, "output_tokens": 3}},
        "preferences": {"candidates": 1, "revision": 1},
        "revisions": 1,
    }


def test_the_overview_of_a_run_that_has_done_nothing(talk: Store) -> None:
    talk.add(run(id="RUN3"))
    found = overview(talk, talk.resolve_run("RUN3"))
    assert found["dialogues"] == {"finished": 0, "failed": 0, "pending": 0}
    assert (found["turns"], found["llm"], found["revisions"]) == (0, {}, 0)
