"""Each kind of damage is found, in a store where there is nothing else to find."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from openmic.core.ids import content_hash
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling
from openmic.store import (
    Adapter,
    ExampleRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Store,
    TrainingItem,
    Turn,
    VerdictRow,
)
from openmic.store.admin.verify import verify
from openmic.store.dialects.location import sqlite_path
from openmic.store.schema import TableModel

from ..rows import dialogue, preference, run, training, turn, verdict

INPUT = content_hash("I am late too")
TEMPLATE = content_hash(["critic", "critique", "Say why."])
REQUEST = LLMRequest(
    role="critic",
    model="big",
    messages=(Message(role="user", content="Which?"),),
    sampling=Sampling(temperature=0.5),
    seed=1,
    json_schema={"type": "object"},
)
OTHER = PromptRow.of([Message(role="user", content="Why?")])


@pytest.fixture
def sound(store: Store) -> Store:
    """A store with nothing wrong in it, without the guards that keep it so."""
    if store.dialect == "sqlite":
        for table in TableModel.metadata.tables:
            damage(store, f"DROP TRIGGER IF EXISTS {table}_never_changes")
    store.add(ExampleRow(id=INPUT, text="I am late too"), run(id="RUN2"), run(id="RUN3"))
    store.add(
        PromptTemplateRow(hash=TEMPLATE, task="humor", role="critic", purpose="critique", version="1", text="Say why.")
    )
    store.save_reply("RUN2", REQUEST, LLMReply(text="A", model="big"))
    of_run = {"run_id": "RUN2", "dialogue_id": "d1"}
    asked = {"request_key": REQUEST.key, "prompt_hash": REQUEST.prompt_hash, "agent": "critic", "kind": "verdict"}
    store.add(dialogue(run_id="RUN2", example_id=INPUT), *(turn(seq, **of_run) for seq in range(2)))
    store.add(dialogue(id="d2", run_id="RUN2", example_id=INPUT, round=2))
    store.add(PromptRow(hash=OTHER.hash, messages=OTHER.messages))
    store.add(turn(2, **of_run, **asked), turn(3, **of_run, **asked), verdict(**of_run))
    store.add(preference(**of_run, example_id=INPUT, verdict_id="v1"), training(run_id="RUN2"))
    store.add(
        TrainingItem(id="i1", training_id="x1", run_id="RUN2", position=0, preference_id="p1"),
        Adapter(id="a1", run_id="RUN2", version=2, stage="round", round=1, base_model="tiny", training_id="x1"),
    )
    return store


def damage(store: Store, statement: str) -> None:
    """Do what nobody does who does not mean it."""
    if store.dialect == "sqlite":
        with closing(sqlite3.connect(sqlite_path(store.address))) as raw, raw:  # no reference is checked
            raw.execute(statement)
        return
    with store.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger of any kind
        connection.execute(text(statement))


def faults_of(store: Store) -> set[tuple[str, str]]:
    """Faults, save that the one input every store of these tests begins with goes by no hash."""
    return {(fault.check, fault.row) for fault in verify(store) if fault.row != "example e1"}


def test_a_sound_store_has_no_fault(sound: Store) -> None:
    assert faults_of(sound) == set()
    assert all(sound.count(table) for table in (Turn, LLMCall, Preference, VerdictRow))


@pytest.mark.parametrize(
    ("statement", "check", "row"),
    [
        ("UPDATE turn SET content = 'funnier' WHERE id = 't1'", "content", "turn t1"),
        (f"UPDATE example SET text = 'I am early' WHERE id = '{INPUT}'", "input", f"example {INPUT}"),
        ("UPDATE prompt_template SET text = 'Say how.'", "template", f"prompt_template {TEMPLATE}"),
        ("UPDATE llm_call SET model = 'small'", "request", f"llm_call RUN2/{REQUEST.key}"),
        ("""UPDATE llm_call SET request = '{"sampling": 7}'""", "request", f"llm_call RUN2/{REQUEST.key}"),
        ("""UPDATE llm_call SET reply = '{"text": "B", "model": "big"}'""", "reply", f"llm_call RUN2/{REQUEST.key}"),
        (f"UPDATE llm_call SET prompt_hash = '{OTHER.hash}'", "request", f"llm_call RUN2/{REQUEST.key}"),
        ("""UPDATE prompt SET messages = '[{"role": "user", "content": "Who?"}]'""", "prompt", f"prompt {OTHER.hash}"),
        (f"UPDATE turn SET prompt_hash = '{OTHER.hash}' WHERE id = 't3'", "asked", "turn t3"),
        ("UPDATE turn SET prompt_hash = NULL WHERE id = 't3'", "asked", "turn t3"),
        ("UPDATE turn SET run_id = 'RUN3' WHERE id = 't0'", "turn", "turn t0"),
        ("UPDATE dialogue SET final_turn_id = 't1' WHERE id = 'd2'", "dialogue", "dialogue d2"),
        ("UPDATE verdict SET first_turn_id = 't2'", "preference", "preference p1"),
        ("UPDATE verdict SET outcome = 'loss'", "preference", "preference p1"),
        ("UPDATE verdict SET source = 'revision'", "preference", "preference p1"),
        ("UPDATE training_item SET run_id = 'RUN3'", "training item", "training_item i1"),
        ("UPDATE adapter SET version = 3", "adapter", "adapter a1"),
    ],
)
def test_each_kind_of_damage_is_found(sound: Store, statement: str, check: str, row: str) -> None:
    damage(sound, statement)
    assert (check, row) in faults_of(sound)


def test_a_reference_to_nothing_is_found(sqlite_store: Store) -> None:
    damage(sqlite_store, "INSERT INTO run_example VALUES ('none', 'e1', 0, 'dev', NULL, '{}')")
    faults = [fault for fault in verify(sqlite_store) if fault.check == "reference"]
    assert [(fault.row, fault.what) for fault in faults] == [
        ("run_example (rowid 1)", "refers to a row that run does not hold")
    ]


def test_a_damaged_file_is_found(sqlite_store: Store, path: Path) -> None:
    sqlite_store.add(dialogue(), *(turn(seq) for seq in range(50)))
    where = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_turn_created_at'"
    with sqlite_store.engine.connect() as connection:
        page = connection.exec_driver_sql(where).scalar_one()
    sqlite_store.close()  # which brings the write-ahead log into the file
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096 + 3000)
        file.write(b"\xff" * 900)
    with Store.open_readonly(str(path)) as reader:
        assert "file" in {fault.check for fault in verify(reader)}
