import math
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import NotFoundError, StoreError
from openmic.core.records import (
    Agent,
    LLMReply,
    LLMRequest,
    Message,
    Sampling,
    Split,
    Stage,
    TokenLogprob,
    TokenUsage,
)
from openmic.store import (
    Adapter,
    Dialogue,
    Evaluation,
    ExampleRow,
    LLMCall,
    Run,
    Store,
    TrainingItem,
    Turn,
    overview,
)

from .rows import ballot, dialogue, everything, example, preference, run, training, turn, verdict


def test_a_row_of_every_table_comes_back_as_it_was(store: Store) -> None:
    rows = everything()
    store.add(*rows)
    for row in [*rows, *store.select(Run), *store.select(ExampleRow)]:
        (found,) = store.select(type(row), **{name: getattr(row, name) for name in _key(row)})
        assert found.model_dump() == row.model_dump()


def _key(row: Any) -> list[str]:
    return [column.name for column in type(row).__table__.primary_key.columns]


def test_values_come_back_in_their_own_types(store: Store) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    store.add(dialogue(stage="collect", started_at=at))
    store.add(turn(0, agent="student", kind="draft", sampling={"a": [1, {"b": None}]}, content="é\n\x1b \U0001f600"))
    found, said = store.get(Dialogue, "d1"), store.get(Turn, "t0")
    assert found is not None
    assert said is not None
    assert found.started_at == at
    assert found.started_at.tzinfo is UTC
    assert (type(found.stage), type(said.agent)) == (Stage, Agent)
    assert said.sampling == {"a": [1, {"b": None}]}
    assert said.content == "é\n\x1b \U0001f600"


def test_the_file_holds_values_and_not_the_names_of_members(sqlite_store: Store, path: Path) -> None:
    sqlite_store.add(dialogue(stage=Stage.COLLECT))
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT stage FROM dialogue").fetchall() == [("collect",)]
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Turn(id="t9", run_id="RUN1"), "Turn 't9'.*content: Field required"),  # type: ignore[call-arg]  # that is the fault
        (run(id="RUN2", status="running away"), "Run 'RUN2'.*status"),
        (run(id="RUN2", created_at=datetime(2030, 1, 1)), "created_at.*timezone"),
        (run(id="RUN2", config=["no", "dict"]), "config.*dictionary"),
        (run(id="RUN2", config={"lr": math.nan}), "JSON compliant"),
        (run(id="RUN2", config={"path": object()}), "not JSON serializable"),
        (dialogue(stage="lunch"), "Dialogue 'd1'.*stage"),
        (verdict(p_forward=1.2), "p_forward"),
        (turn(0, note="half of an emoji \ud83d"), "Turn 't0'.*surrogates"),
    ],
)
def test_a_malformed_row_is_refused(store: Store, row: Any, fault: str) -> None:
    with pytest.raises(StoreError, match=fault):
        store.add(row)
    assert store.count(type(row)) == (1 if isinstance(row, Run) else 0)


def test_adding_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match=r"(?s)Turn 't0'.*dialogue_id, (turn\.)?seq"):
        store.add(dialogue(), turn(0), turn(0, id="other"))
    assert (store.count(Dialogue), store.count(Turn)) == (0, 0)


@pytest.mark.parametrize(
    "row",
    [
        turn(1, dialogue_id="none"),
        turn(1, run_id="none"),
        turn(1, parent_turn_id="none"),
        turn(1, template_hash="none"),
        dialogue(id="d2", round=2, example_id="none"),
        dialogue(id="d2", round=2, final_turn_id="none"),
        TrainingItem(id="i", training_id="none", run_id="RUN1", position=0, turn_id="t0"),
    ],
)
def test_a_reference_to_nothing_is_refused(store: Store, row: Any) -> None:
    store.add(dialogue(), turn(0))
    before = store.count(type(row))
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.add(row)
    assert store.count(type(row)) == before
    store.add(example(id="still", text="writable"))


@pytest.mark.parametrize(
    "row",
    [
        run(),
        example(),
        turn(0, id="other"),
        dialogue(id="other"),
        verdict(id="other"),
        ballot(member=1),
        preference(id="other"),
        preference(id="other", chosen_turn_id="t1"),
        training(id="other"),
        Adapter(id="other", run_id="RUN1", version=2, stage="round", round=1, base_model="tiny"),
        Evaluation(id="other", run_id="RUN1", adapter_version=2, split=Split.DEV),
        TrainingItem(id="other", training_id="x1", run_id="RUN1", position=1),
        TrainingItem(id="other", training_id="x1", run_id="RUN1", position=1, turn_id="t0", preference_id="p2"),
    ],
)
def test_constraints_hold(store: Store, row: Any) -> None:
    store.add(*everything(), preference(id="p2", chosen_turn_id="t4"))
    before = store.count(type(row))
    with pytest.raises(StoreError, match=r"(?i)unique|check"):
        store.add(row)
    assert store.count(type(row)) == before


def test_a_preference_is_learned_from_once_and_a_turn_once_in_each_training(store: Store) -> None:
    store.add(*everything(), training(id="x2", adapter_version=3))
    item: dict[str, Any] = {"run_id": "RUN1", "position": 5}
    with pytest.raises(StoreError, match="preference_id"):
        store.add(TrainingItem(id="i2", training_id="x2", preference_id="p1", **item))
    store.add(TrainingItem(id="i3", training_id="x1", turn_id="t0", **item))
    store.add(TrainingItem(id="i4", training_id="x2", turn_id="t0", **item))
    with pytest.raises(StoreError, match="turn_id"):
        store.add(TrainingItem(id="i5", training_id="x2", turn_id="t0", **item))


def test_add_new_leaves_what_is_there(store: Store) -> None:
    assert store.add_new(example(text="other words"), example(id="e2"), example(id="e3")) == 2
    assert store.add_new(example(id="e2"), example(id="e3")) == 0
    assert store.add_new() == 0
    found = store.get(ExampleRow, "e1")
    assert found is not None
    assert found.text == "I am late"


def test_add_new_forgives_the_same_key_alone(store: Store) -> None:
    store.add(dialogue())
    with pytest.raises(StoreError, match=r"(?i)unique"):
        store.add_new(dialogue(id="other"))


def test_update_sets_the_given_columns_alone(store: Store) -> None:
    done = datetime(2030, 1, 1, tzinfo=UTC)
    store.update(Run, "RUN1", status="finished", finished_at=done, config={"new": 1})
    found = store.get(Run, "RUN1")
    assert found is not None
    assert (found.status, found.finished_at, found.config, found.name) == ("finished", done, {"new": 1}, "first")


def test_update_refuses_what_must_not_change(store: Store) -> None:
    store.add(dialogue(), turn(0))
    with pytest.raises(TypeError, match="Turn never change"):
        store.update(Turn, "t0", content="better")
    with pytest.raises(TypeError, match="no column 'statsu'"):
        store.update(Run, "RUN1", statsu="failed")
    with pytest.raises(TypeError, match="'id'"):
        store.update(Run, "RUN1", id="RUN2")
    with pytest.raises(NotFoundError, match="'none'"):
        store.update(Run, "none", status="failed")
    with pytest.raises(StoreError, match="status"):
        store.update(Run, "RUN1", status="asleep")
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.update(Dialogue, "d1", final_turn_id="none")
    found = store.get(Dialogue, "d1")
    assert found is not None
    assert found.final_turn_id is None


def test_rows_are_values_whose_changes_stay_outside(store: Store) -> None:
    given = run(id="RUN2", config={"a": {"b": 1}})
    store.add(given)
    given.config["a"]["b"] = 2
    found = store.get(Run, "RUN2")
    assert found is not None
    found.config["a"]["b"] = 3
    found.status = "failed"
    store.update(Run, "RUN2", error="none of the above")
    again = store.get(Run, "RUN2")
    assert again is not None
    assert (again.config, again.status) == ({"a": {"b": 1}}, "running")


def test_rows_read_from_one_store_can_be_added_to_another(store: Store, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "other.db")) as other:
        other.add(*store.select(ExampleRow), *store.select(Run))
        assert other.select(Run) == store.select(Run)


def request(ordinal: int = 0) -> LLMRequest:
    return LLMRequest(
        role="critic",
        model="big",
        messages=(Message(role="user", content="Which?"),),
        sampling=Sampling(temperature=0.5),
        seed=1,
        member=2,
        ordinal=ordinal,
        json_schema={"type": "object"},
    )


def test_a_reply_is_kept_and_the_first_one_stays(store: Store) -> None:
    reply = LLMReply(text="A", model="big-1", usage=TokenUsage(input=5, output=1), raw={"id": "x"})
    assert store.saved_reply("RUN1", request().key) is None
    store.save_reply("RUN1", request(), reply)
    store.save_reply("RUN1", request(), reply.model_copy(update={"text": "B"}))
    assert store.saved_reply("RUN1", request().key) == reply
    assert store.saved_reply("RUN1", request(1).key) is None
    (call,) = store.select(LLMCall)
    assert call.prompt_hash == request().prompt_hash
    assert store.prompts([call.prompt_hash, None]) == {call.prompt_hash: [{"role": "user", "content": "Which?"}]}
    assert "messages" not in call.request
    assert (call.request["member"], call.request["ordinal"], call.request["score_prompt"]) == (2, 0, False)
    assert call.request["json_schema"] == {"type": "object"}


def test_a_reply_is_kept_whatever_numbers_it_holds(store: Store) -> None:
    logprobs = (TokenLogprob(token="A", logprob=-0.1, alternatives={"A": -0.1, "B": -math.inf}),)
    raw = {"p": [math.inf, {"q": math.nan}], "half of an emoji": "\ud83d", "nul": "\0\\u0000"}
    store.save_reply("RUN1", request(), LLMReply(text="A", model="big", token_logprobs=logprobs, raw=raw))
    kept = store.saved_reply("RUN1", request().key)
    assert kept is not None
    assert kept.token_logprobs == logprobs
    assert kept.raw["p"] == ["inf", {"q": "nan"}]
    # Half of an emoji is no text, and a NUL none to PostgreSQL, which has a question mark in its place.
    assert [kept.raw["half of an emoji"], kept.raw["nul"]] in (["\ud83d", "\0\\u0000"], ["?", "?\\u0000"])
    assert overview(store, store.resolve_run("RUN1"))["llm"]["critic"]["calls"] == 1


def test_a_reply_to_no_run_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.save_reply("none", request(), LLMReply(text="A", model="big"))
