"""Lineage both ways, on a few rows made by hand; `tests/cli/test_explain.py` checks it against a whole run."""

import pytest

from openmic.core.errors import NotFoundError
from openmic.core.records import Split
from openmic.store import Adapter, Evaluation, PromptTemplateRow, Store, Training, TrainingItem
from openmic.store.admin.verify import verify
from openmic.store.export.transcript import transcript_rows
from openmic.store.lineage.explain import explain_adapter, explain_turn
from openmic.store.lineage.turn_names import resolve_adapter, resolve_turn

from ..rows import ballot, run, talk_rows, training, turn, verdict


@pytest.fixture
def talk(store: Store) -> Store:
    store.add(
        *talk_rows(),
        ballot(verdict_id="w1"),
        ballot(turn_id="t3", verdict_id="w1", forward=False, p_first=0.6),
        ballot(turn_id="t6", verdict_id="v2"),
        ballot(turn_id="t7", verdict_id="v2", forward=False, p_first=0.6),
        PromptTemplateRow(hash="h", task="humor", role="student", purpose="draft", version="4", text="{{ input }}"),
        training(examples=2),
        TrainingItem(id="i1", training_id="x1", run_id="RUN1", position=0, preference_id="p2"),
        TrainingItem(id="i2", training_id="x1", run_id="RUN1", position=1, turn_id="u0"),
        Adapter(id="A0", run_id="RUN1", version=0, stage="base", round=0, base_model="tiny"),
        Adapter(id="A1", run_id="RUN1", version=1, stage="imitation", round=0, parent_version=0, base_model="tiny"),
        Adapter(
            id="A2",
            run_id="RUN1",
            version=2,
            stage="round",
            round=1,
            parent_version=1,
            base_model="tiny",
            training_id="x1",
        ),
        turn(8, adapter_version=2, template_hash="h", parent_turn_id="t5"),
        Evaluation(id="E", run_id="RUN1", adapter_version=2, split=Split.TEST),
        # A run that works on this one has a copy of its adapter.
        run(id="RUN3", kind="train", source_run_id="RUN1"),
        Adapter(id="B2", run_id="RUN3", version=2, stage="round", round=1, base_model="tiny", training_id="x1"),
    )
    return store


def test_an_adapter_goes_back_to_what_it_learned(talk: Store) -> None:
    found = explain_adapter(talk, "RUN1", 2)
    assert [one.adapter.version for one in found.ancestors] == [1, 0]
    assert found.training is not None
    preference, text = found.learned
    assert preference.preference is not None
    assert preference.preference.chosen.turn.id == "t5"
    assert preference.preference.verdict is not None
    assert [(r.said.turn.id, r.ballot.forward, r.ballot.p_first) for r in preference.preference.verdict.replies] == [
        ("t6", True, 0.8),
        ("t7", False, 0.6),
    ]
    assert [one.said.turn.id for one in preference.preference.critiques] == ["t4"]
    assert text.text is not None
    assert text.text.turn.id == "u0"
    assert (found.learned_total, found.turns, [row.id for row in found.evaluations]) == (2, 1, ["E"])
    assert [row.version for row in explain_adapter(talk, "RUN1", 1).descendants] == [2]


def test_no_more_is_named_than_is_wanted_and_the_rest_is_counted(talk: Store) -> None:
    found = explain_adapter(talk, "RUN1", 2, limit=1)
    assert (len(found.learned), found.learned_total) == (1, 2)


def test_what_a_training_left_out_was_not_learned_from_and_is_counted(talk: Store) -> None:
    talk.update(Training, "x1", metrics={"left_out": 1, "left_out_items": ["i2"], "left_out_why": "too long"})
    found = explain_adapter(talk, "RUN1", 2)
    assert ([one.item.id for one in found.learned], found.learned_total) == (["i1"], 1)
    assert found.left_out == {"too long": 1}
    assert explain_turn(talk, "u0").learned_by == []


def test_the_base_model_learned_nothing(talk: Store) -> None:
    found = explain_adapter(talk, "RUN1", 0)
    assert (found.training, found.learned, found.learned_total, found.ancestors) == (None, [], 0, [])
    with pytest.raises(NotFoundError, match=r"no adapter version 9; it has \[0, 1, 2\]"):
        explain_adapter(talk, "RUN1", 9)


def test_a_text_goes_on_to_what_learned_from_it(talk: Store) -> None:
    found = explain_turn(talk, "t0")
    assert [one.said.turn.id for one in found.critiques] == ["t4"]
    assert [one.turn.id for one in found.revisions] == ["t5"]
    assert {one.verdict.id for one in found.verdicts} == {"w1", "v2"}
    assert {one.preference.id for one in found.preferences} == {"p1", "p2"}
    [one] = found.learned_by
    assert one.adapter is not None
    assert (one.training.id, one.adapter.id, [row.id for row in one.evaluations]) == ("x1", "A2", ["E"])
    assert one.preference is not None
    assert one.preference.preference.id == "p2"


def test_a_students_text_goes_back_to_prompt_and_adapter(talk: Store) -> None:
    found = explain_turn(talk, "t8")
    assert found.said.template is not None
    assert found.said.template.version == "4"
    assert found.adapter is not None
    assert found.adapter.learned_total == 2
    assert found.answers is not None
    assert found.answers.turn.id == "t5"
    assert (found.verdicts, found.preferences, found.learned_by, found.call) == ([], [], [], None)


@pytest.mark.parametrize(("name", "verdict", "preferences"), [("t3", "w1", []), ("t7", "v2", ["p2"])])
def test_a_verdicts_reply_goes_on_to_the_preference_it_made(
    talk: Store, name: str, verdict: str, preferences: list[str]
) -> None:
    found = explain_turn(talk, name)
    assert found.part_of is not None
    assert found.part_of.verdict.id == verdict
    assert [one.preference.id for one in found.preferences] == preferences


def test_a_critique_goes_on_to_the_revision_after_it(talk: Store) -> None:
    talk.add(
        turn(9, agent="critic", kind="critique", parent_turn_id="t0"), turn(10, kind="revision", parent_turn_id="t0")
    )
    found = explain_turn(talk, "t9")
    assert [one.turn.id for one in found.revisions] == ["t10"]


def test_a_lineage_is_json_with_every_row(talk: Store) -> None:
    found = explain_turn(talk, "t0").as_json()
    assert found["preferences"][0]["verdict"] is None or found["preferences"][0]["verdict"]["verdict"]["id"]
    assert found["said"]["turn"]["id"] == "t0"
    assert explain_adapter(talk, "RUN1", 2).as_json()["learned"][0]["preference"]["preference"]["id"] == "p2"


def test_turns_and_adapters_go_by_several_names(talk: Store) -> None:
    assert resolve_turn(talk, "d1#3").id == "t2"
    assert resolve_turn(talk, "T5").id == "t5"
    assert resolve_turn(talk, "t1").id == "t1"
    assert resolve_adapter(talk, "run1:V2") == ("RUN1", 2)
    assert resolve_adapter(talk, "t5") is None
    for name, said in (
        ("d1#99", "no turn #99; it has 9"),
        ("d1#x", "no turn #x"),
        ("t", "several turns"),
        ("none", "none"),
    ):
        with pytest.raises(NotFoundError, match=said):
            resolve_turn(talk, name)
    with pytest.raises(NotFoundError, match="no turn"):
        explain_turn(talk, "none")


def test_a_scorers_verdict_goes_back_to_no_prompt_and_no_request(talk: Store) -> None:
    own = {"agent": "critic", "kind": "verdict", "model": "my.module:funny"}
    talk.add(
        turn(9, content="0.75", **own),
        turn(10, content="0.5", **own),
        verdict(id="s1", forward_turn_id="t9", reverse_turn_id="t10", method="score"),
        ballot(turn_id="t9", verdict_id="s1", method="score"),
    )
    found = explain_turn(talk, "t9")
    assert found.call is found.said.template is None
    assert found.part_of is not None
    assert (found.part_of.verdict.id, found.part_of.replies[0].said.turn.content) == ("s1", "0.75")
    assert not [fault for fault in verify(talk) if fault.row in {"turn t9", "turn t10", "verdict s1"}]
    [row] = [row for row in transcript_rows(talk, talk.dialogues("RUN1")) if row["content"] == "0.75"]
    assert (row["model"], row["messages"], row["outcome"]) == ("my.module:funny", None, "win")
