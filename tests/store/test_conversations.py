import json

import pytest

from openmic.core.errors import NotFoundError
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling, Stage, TokenUsage
from openmic.store import Dialogue, DialogueLine, Store, overview
from openmic.store.search.filters import DialogueFilter

from .rows import run, talk_rows


@pytest.fixture
def talk(store: Store) -> Store:
    """One dialogue that went through everything, and a few that did not."""
    store.add(*talk_rows())
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


def test_pages_join_up(talk: Store) -> None:
    first = ids(talk.dialogues("RUN1", limit=1))
    second = ids(talk.dialogues("RUN1", limit=2, after=first[-1]))
    third = ids(talk.dialogues("RUN1", limit=2, after=second[-1]))
    assert first + second + third == ids(talk.dialogues("RUN1"))
    rehearsed = DialogueFilter(stage=Stage.COLLECT)
    assert ids(talk.dialogues("RUN1", rehearsed, limit=1, after="d1")) == ["c9"]
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
    assert found.pop("funnel")["comparisons"] == {
        "candidates": {"made": 1, "ties": 0, "inconsistent": 0},
        "revision": {"made": 1, "ties": 0, "inconsistent": 0},
    }
    assert found.pop("verdicts")["count"] == 2
    assert found == {
        "dialogues": {"finished": 1, "failed": 1, "pending": 1},
        "stages": {
            "demonstrate": {"finished": 1, "failed": 0, "pending": 0},
            "collect": {"finished": 1, "failed": 1, "pending": 1},
        },
        "failed": 1,
        "failures": [{"stage": "collect", "count": 1, "error": "refused"}],
        "stop_reasons": {"accepted": 1},
        "turns": 9,
        "turn_kinds": {"critique": 1, "demonstration": 1, "draft": 2, "revision": 1, "verdict": 4},
        "llm": {
            "critic": {
                "calls": 2,
                "input_tokens": 30,
                "cached_tokens": 0,
                "output_tokens": 3,
                "reasoning_tokens": 0,
                "estimated": 0,
                "batched": 0,
                "reused": 0,
                "usd": None,
            }
        },
        "sampled_labels": {},
        "preferences": {"candidates": 1, "revision": 1},
        "revisions": 1,
    }


def test_the_overview_of_a_run_that_has_done_nothing(talk: Store) -> None:
    talk.add(run(id="RUN3"))
    found = overview(talk, talk.resolve_run("RUN3"))
    assert found["dialogues"] == {"finished": 0, "failed": 0, "pending": 0}
    assert (found["turns"], found["llm"], found["revisions"]) == (0, {}, 0)
