"""What a finished dialogue was counted to hold is what counting it anew gives, and spares looking at its turns."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from openmic.store import Dialogue, Store, overview
from openmic.store.admin.verify import verify
from openmic.store.tally import as_text, count_anew, tallies
from openmic.store.writes import adding_new, updating

from .rows import ballot, turn
from .test_funnel import Scene, scene
from .test_writer import all_at_once

assert scene  # the fixture of a run with every kind of yield

DIALOGUES = "ABCDEFGHI"


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What the store is asked for in the block."""
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def finish(store: Store, names: str = DIALOGUES) -> None:
    for name in names:
        store.update(Dialogue, name, status="finished")


def tally(store: Store, name: str) -> str | None:
    row = store.get(Dialogue, name)
    assert row is not None
    return row.tally


def test_a_run_in_numbers_is_the_same_once_its_dialogues_were_counted_and_no_turn_is_looked_at(scene: Scene) -> None:
    store, row = scene.store, scene.store.resolve_run("RUN1")
    judged = scene.judge("F", "F0", "F1")
    store.add(*(ballot(turn_id=name, verdict_id=judged, method="sampled") for name in ("F4", "F5")))
    anew = overview(store, row)
    assert anew["sampled_labels"] == {"critic": {"comparisons": 1, "extra_calls": 1}}
    finish(store, DIALOGUES.replace("G", ""))
    assert overview(store, row) == anew
    finish(store)
    with statements(store) as asked:
        after = overview(store, row)
    assert after["turn_kinds"] == anew["turn_kinds"]
    assert after["funnel"]["drafts"] == anew["funnel"]["drafts"]
    assert not [statement for statement in asked if "FROM turn" in statement or "JOIN turn" in statement]
    assert any("FROM dialogue" in statement for statement in asked)


def test_dialogues_that_are_alike_stand_together(scene: Scene) -> None:
    for number in range(3):
        scene.dialogue(f"X{number}", round=7)
        scene.say(f"X{number}", f"text {number}")
        scene.store.update(Dialogue, f"X{number}", status="finished", stop_reason="compared")
    [found] = [one for one in tallies(scene.store, "RUN1") if one.round == 7]
    assert (found.number, found.stop_reason) == (3, "compared")
    assert dict(found.counts) == {"draft": 1, "turn/draft": 1, "valid": 1}


def test_notes_of_any_script_are_told_apart_from_none(scene: Scene) -> None:
    scene.dialogue("N", round=7)
    for note in (None, "", "太长 🎤/draft", "\n"):
        scene.say("N", "a", note=note)
    finish(scene.store, "N")
    [found] = [one for one in tallies(scene.store, "RUN1") if one.round == 7]
    gates = {"draft/": 1, "draft/太长 🎤/draft": 1, "draft/\n": 1}
    assert dict(found.counts) == {"draft": 1, "turn/draft": 4, "valid": 1} | gates


def test_only_what_is_finished_is_counted_and_what_goes_on_again_is_not(scene: Scene) -> None:
    store = scene.store
    assert tally(store, "A") is None  # added as finished
    store.update(Dialogue, "A", stop_reason="accepted")
    store.update(Dialogue, "B", status="failed", error="it is deaf")
    assert tally(store, "A") is tally(store, "B") is None
    finish(store, "AB")
    assert json.loads(tally(store, "A") or "")["draft"] == 3
    assert json.loads(tally(store, "B") or "") == {"draft/empty": 1, "turn/draft": 1}
    store.update(Dialogue, "A", status="pending")
    assert tally(store, "A") is None


def test_what_is_written_in_one_transaction_with_the_end_is_counted(scene: Scene) -> None:
    store = scene.store
    last = turn(1, id="G1", dialogue_id="G", content="the end")
    assert all_at_once(store, adding_new(last), updating(Dialogue, "G", status="finished")) == [None, None]
    assert json.loads(tally(store, "G") or "")["draft"] == 2


def test_a_tally_that_is_no_longer_right_is_a_fault(scene: Scene) -> None:
    store = scene.store
    finish(store)
    assert not [fault for fault in verify(store) if fault.check == "tally"]
    scene.say("C", "said after the end")
    [fault] = [fault for fault in verify(store) if fault.check == "tally"]
    assert (fault.row, fault.what) == ("dialogue C", "holds other turns or verdicts than were counted as it finished")
    assert as_text(count_anew(store, ["C"])["C"]) != tally(store, "C")


@pytest.mark.parametrize("ids", [[], ["none"]])
def test_where_nothing_was_said_nothing_is_counted(store: Store, ids: list[str]) -> None:
    assert count_anew(store, ids) == {name: {} for name in ids}
