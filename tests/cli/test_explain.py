"""What `explain` says of a whole run, checked against the rows."""

import json

import pytest

from openmic.store import (
    BallotRow,
    CritiqueRow,
    Preference,
    PromptTemplateRow,
    Store,
    Training,
    TrainingItem,
    Turn,
    VerdictRow,
)

from ..whole_run import WholeRun
from .conftest import Openmic


def test_the_last_adapter_names_all_it_learned_from_and_on_each_both_verdicts_and_the_prompt(
    of_run: Openmic, run: WholeRun
) -> None:
    found = json.loads(of_run("transcripts", "explain", "v2", "--json").out)
    plain = " ".join(of_run("transcripts", "explain", "v2").out.split())
    with Store.open_readonly(run.store) as store:
        [training] = store.select(Training, adapter_version=2)
        items = store.select(TrainingItem, training_id=training.id, order_by="position")
        wanted = [item.preference_id for item in items]
        assert wanted
        assert [item["preference"]["preference"]["id"] for item in found["learned"]] == wanted
        for item in found["learned"]:
            lineage = item["preference"]
            row = store.get(Preference, lineage["preference"]["id"])
            assert row is not None
            assert f"preference {row.id} " in plain
            assert (lineage["chosen"]["turn"]["id"], lineage["rejected"]["turn"]["id"]) == (
                row.chosen_turn_id,
                row.rejected_turn_id,
            )
            assert lineage["chosen"]["template"]["version"] == _version(store, row.chosen_turn_id)
            critiques = store.select(CritiqueRow, target_turn_id=[row.chosen_turn_id, row.rejected_turn_id])
            assert {one["critique"]["turn_id"] for one in lineage["critiques"]} == {one.turn_id for one in critiques}
            if row.verdict_id is None:
                assert lineage["verdict"] is None
                continue
            verdict = store.get(VerdictRow, row.verdict_id)
            assert verdict is not None
            assert f"verdict {verdict.id} " in plain
            replies = {reply["said"]["turn"]["id"]: reply for reply in lineage["verdict"]["replies"]}
            assert {verdict.forward_turn_id, verdict.reverse_turn_id} <= set(replies)
            for ballot in store.select(BallotRow, verdict_id=verdict.id):
                reply = replies.pop(ballot.turn_id)
                assert reply["ballot"] == ballot.model_dump(mode="json")
                assert reply["said"]["template"]["version"] == _version(store, ballot.turn_id)
            assert not replies
        assert any(item["preference"]["verdict"] for item in found["learned"])


def _version(store: Store, turn_id: str) -> str:
    turn = store.get(Turn, turn_id)
    assert turn is not None
    template = store.get(PromptTemplateRow, turn.template_hash)
    assert template is not None
    return template.version


def test_a_text_goes_on_to_the_adapter_that_learned_from_it(of_run: Openmic, run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        [training] = store.select(Training, adapter_version=2)
        item = store.select(TrainingItem, training_id=training.id, limit=1)[0]
        row = store.get(Preference, item.preference_id)
        assert row is not None
        turn = store.get(Turn, row.chosen_turn_id)
        assert turn is not None
    for name in (turn.id, turn.id[:16], f"{turn.dialogue_id[:16]}#{turn.seq + 1}"):
        found = json.loads(of_run("transcripts", "explain", name, "--json").out)
        assert found["said"]["turn"]["id"] == turn.id
        assert training.id in {one["training"]["id"] for one in found["learned_by"]}
        assert 2 in {one["adapter"]["version"] for one in found["learned_by"]}
    shown = of_run("transcripts", "explain", turn.id)
    assert shown.code == 0
    assert f"learned from it by preference {row.id}" in " ".join(shown.out.split())
    assert "evaluation on test, v2" in shown.out


def test_so_many_things_are_named_as_are_asked_for(of_run: Openmic) -> None:
    found = json.loads(of_run("transcripts", "explain", "v1", "-n", "2", "--json").out)
    assert len(found["learned"]) == 2
    assert f"… and {found['learned_total'] - 2} more" in of_run("transcripts", "explain", "latest:v1", "-n", "2").out


@pytest.mark.parametrize(
    ("name", "said"), [("v9", "no adapter version 9; it has [0, 1, 2]"), ("zzz", "no turn goes by 'zzz'")]
)
def test_what_is_not_there_is_an_error(of_run: Openmic, name: str, said: str) -> None:
    outcome = of_run("transcripts", "explain", name)
    assert outcome.code == 2
    assert said in outcome.err
