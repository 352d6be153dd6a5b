import json
from typing import Any

import pytest

from openmic.store import Adapter, Run, Store, Training, TrainingItem, funnel
from openmic.store.funnel import verdict_facts
from openmic.store.tables.training import AdapterStatus

from .rows import dialogue, example, preference, run, training, turn, verdict


class Scene:
    """Adds turns and verdicts to dialogues, each at its dialogue's next place."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.said: dict[str, int] = {}

    def dialogue(self, name: str, **values: Any) -> None:
        self.store.add(example(id=name, text=name), dialogue(**{"id": name, "example_id": name} | values))
        self.said[name] = 0

    def say(self, where: str, content: str, kind: str = "draft", agent: str = "student", **values: Any) -> str:
        seq, self.said[where] = self.said[where], self.said[where] + 1
        identity = f"{where}{seq}"
        self.store.add(turn(seq, id=identity, dialogue_id=where, content=content, kind=kind, agent=agent, **values))
        return identity

    def judge(self, where: str, first: str, second: str, outcome: str = "win", **values: Any) -> str:
        agent = values.get("agent", "critic")
        forward, reverse = (self.say(where, label, kind="verdict", agent=agent) for label in "12")
        row = verdict(
            **{
                "id": f"v{forward}",
                "dialogue_id": where,
                "first_turn_id": first,
                "second_turn_id": second,
                "forward_turn_id": forward,
                "reverse_turn_id": reverse,
                "outcome": outcome,
            }
            | values
        )
        self.store.add(row)
        return row.id


@pytest.fixture
def scene(store: Store) -> Scene:
    """A run with dialogues of every kind of yield, in two rounds."""
    scene = Scene(store)
    finished: dict[str, Any] = {"status": "finished"}
    # A: 5 drafts of which two are rejected and two the same; a revision that is accepted after one that was too long.
    scene.dialogue("A", **finished)
    one, other, _, _, _ = (
        scene.say("A", text, note=note)
        for text, note in [("x", None), ("y", None), ("y", None), ("z", "cut off"), ("I am late", "copy of the input")]
    )
    drafted = scene.judge("A", one, other)
    scene.say("A", "why", kind="critique", agent="critic")
    scene.say("A", "x x x x", kind="revision", parent_turn_id=one, note="too long")
    revised = scene.say("A", "better", kind="revision", parent_turn_id=one)
    accepted = scene.judge("A", one, revised, "loss", p_forward=0.1, p_reverse=0.3, p_first=0.2, source="revision")
    # B: nothing valid. C: one valid text, twice; its revision says it again. D: two texts of unlike length.
    scene.dialogue("B", **finished)
    scene.say("B", "", note="empty")
    scene.dialogue("C", **finished)
    again = scene.say("C", "c")
    scene.say("C", "c")
    scene.say("C", "c", kind="revision", parent_turn_id=again)
    scene.dialogue("D", **finished)
    scene.say("D", "a")
    scene.say("D", "a b c d e f")
    # E and F, of round 2: a tie, a verdict that follows the place, and a revision that is no better.
    scene.dialogue("E", round=2, **finished)
    first, second = scene.say("E", "e"), scene.say("E", "f")
    scene.judge("E", first, second, "tie", p_forward=0.52, p_reverse=0.51, p_first=0.515)
    revision = scene.say("E", "g", kind="revision", parent_turn_id=first)
    lost = scene.judge("E", first, revision, "win", source="revision")
    scene.dialogue("F", round=2, **finished)
    first, second = scene.say("F", "e"), scene.say("F", "f")
    scene.judge("F", first, second, "tie", p_forward=0.9, p_reverse=0.2, p_first=0.55, consistent=False)
    # Under way, failed, of the evaluation, of the teacher: none of the rehearsals' business.
    scene.dialogue("G")
    scene.say("G", "under way")
    scene.dialogue("H", stage="evaluate", **finished)
    scene.judge("H", scene.say("H", "answer"), "A0", agent="judge", source=None)
    scene.dialogue("I", stage="demonstrate", round=0, **finished)
    shown = [scene.say("I", text, kind="demonstration", agent="teacher") for text in ("s", "t")]
    scene.judge("I", *shown, source="teacher_pair")
    scene.say("I", "Ha.", kind="demonstration", agent="teacher", note="too short")
    store.add(
        preference(id="p1", dialogue_id="A", chosen_turn_id=one, rejected_turn_id=other, verdict_id=drafted),
        preference(
            id="p2",
            dialogue_id="A",
            chosen_turn_id=revised,
            rejected_turn_id=one,
            source="revision",
            length_ratio=1.5,
            verdict_id=accepted,
        ),
        preference(
            id="p3",
            round=2,
            dialogue_id="E",
            chosen_turn_id=first,
            rejected_turn_id=revision,
            source="revision",
            length_ratio=0.79,
            verdict_id=lost,
        ),
        training(id="x1"),
        TrainingItem(id="i1", training_id="x1", run_id="RUN1", position=0, preference_id="p1"),
        TrainingItem(id="i2", training_id="x1", run_id="RUN1", position=1, preference_id="p3"),
    )
    return scene


def test_every_gate_and_filter_is_counted(scene: Scene) -> None:
    found = funnel(scene.store, scene.store.resolve_run("RUN1"))
    assert found == {
        "demonstrations": {"made": 3, "rejected": {"too short": 1}, "valid": 2},
        "drafts": {
            "made": 15,
            "rejected": {"copy of the input": 1, "cut off": 1, "empty": 1},
            "duplicates": 2,
            "valid": 10,
        },
        "dialogues": {"drafted": 6, "no_valid_draft": 1, "one_valid_draft": 1, "no_similar_length": 1},
        "revisions": {"made": 4, "rejected": {"too long": 1}, "unchanged": 1, "accepted": 1},
        "comparisons": {
            "candidates": {"made": 3, "ties": 1, "inconsistent": 1},
            "revision": {"made": 2, "ties": 0, "inconsistent": 0},
            "teacher_pair": {"made": 1, "ties": 0, "inconsistent": 0},
        },
        "preferences": {
            "candidates": {
                "made": 1,
                "outside_length": 0,
                "too_stale": 0,
                "too_long": 0,
                "switched_off": 0,
                "trained_on": 1,
            },
            "revision": {
                "made": 2,
                "outside_length": 2,
                "too_stale": 0,
                "too_long": 0,
                "switched_off": 0,
                "trained_on": 1,
            },
        },
    }
    drafts = found["drafts"]
    assert drafts["made"] == drafts["valid"] + drafts["duplicates"] + sum(drafts["rejected"].values())
    assert json.loads(json.dumps(found)) == found


def test_rounds_add_up(scene: Scene) -> None:
    row = scene.store.resolve_run("RUN1")
    first, second, third = (funnel(scene.store, row, number) for number in (1, 2, 3))
    assert first["drafts"]["made"] == 11
    assert second["drafts"] == {"made": 4, "rejected": {}, "duplicates": 0, "valid": 4}
    assert second["comparisons"] == {
        "candidates": {"made": 2, "ties": 1, "inconsistent": 1},
        "revision": {"made": 1, "ties": 0, "inconsistent": 0},
    }
    assert second["revisions"] == {"made": 1, "rejected": {}, "unchanged": 0, "accepted": 0}
    expected = {"made": 1, "outside_length": 1, "too_stale": 0, "too_long": 0, "switched_off": 0, "trained_on": 1}
    assert second["preferences"] == {"revision": expected}
    assert third["drafts"]["made"] == 0
    assert third["comparisons"] == third["preferences"] == {}


def test_the_length_filter_is_the_runs_own(store: Store, scene: Scene) -> None:
    store.update(Run, "RUN1", config={"preferences": {"length_ratio": [0.5, 1.4]}})
    found = funnel(store, store.resolve_run("RUN1"))["preferences"]
    assert found["revision"] == {
        "made": 2,
        "outside_length": 1,
        "too_stale": 0,
        "too_long": 0,
        "switched_off": 0,
        "trained_on": 1,
    }


def test_a_run_that_trains_on_another_runs_preferences_counts_what_it_trained_on(store: Store, scene: Scene) -> None:
    store.add(
        run(id="RUN2", kind="train", source_run_id="RUN1"),
        training(id="x2", run_id="RUN2"),
        Adapter(id="a2", run_id="RUN2", version=2, stage="round", round=1, base_model="tiny", training_id="x2"),
        TrainingItem(id="j1", training_id="x2", run_id="RUN2", position=0, preference_id="p1"),
    )
    found = funnel(store, store.resolve_run("RUN2"))
    expected = {"made": 0, "outside_length": 0, "too_stale": 0, "too_long": 0, "switched_off": 0, "trained_on": 1}
    assert found["preferences"] == {"candidates": expected}
    store.update(Training, "x2", metrics={"left_out_items": ["j1"]})
    found = funnel(store, store.resolve_run("RUN2"))
    assert found["preferences"] == {"candidates": expected | {"too_long": 1, "switched_off": 0, "trained_on": 0}}
    assert (found["drafts"]["made"], found["dialogues"]["drafted"]) == (0, 0)
    assert funnel(store, store.resolve_run("RUN2"), 1)["preferences"] == found["preferences"]
    assert funnel(store, store.resolve_run("RUN2"), 2)["preferences"] == {}


def test_what_is_switched_off_is_told_as_what_it_is(store: Store, scene: Scene) -> None:
    scene.dialogue("S", status="finished")
    shown = scene.say("S", "shown", kind="demonstration", agent="teacher")
    pair = {"chosen_turn_id": shown, "rejected_turn_id": scene.say("S", "said"), "source": "teacher"}
    store.add(preference(id="t1", dialogue_id="S", length_ratio=1.0, **pair))
    for on, expected in ((False, 1), (True, 0)):
        store.update(Run, "RUN1", config={"preferences": {"teacher_over_student": on, "candidates": False}})
        found = funnel(store, store.resolve_run("RUN1"))["preferences"]
        assert (found["teacher"]["switched_off"], found["teacher"]["trained_on"]) == (expected, 0)
        assert (found["candidates"]["switched_off"], found["candidates"]["trained_on"]) == (0, 1)


def test_what_was_too_stale_to_be_trained_on_is_counted(store: Store, scene: Scene) -> None:
    def promote(version: int, status: AdapterStatus = "promoted") -> None:
        store.add(
            Adapter(
                id=f"a{version}",
                run_id="RUN1",
                version=version,
                stage="round",
                round=1,
                base_model="tiny",
                status=status,
            )
        )

    def stale(max_staleness: int | None) -> int:
        store.update(Run, "RUN1", config={"training": {"objective": "dpo", "max_staleness": max_staleness}})
        found = funnel(store, store.resolve_run("RUN1"))["preferences"]
        return int(sum(row["too_stale"] for row in found.values()))

    promote(1)
    scene.dialogue("S", status="finished")
    old, new, shown = (
        scene.say("S", text, adapter_version=number) for text, number in [("o", 1), ("n", 3), ("s", None)]
    )
    pairs = [("mixed", old, new), ("rescued", shown, old), ("told", shown, scene.say("S", "t", adapter_version=None))]
    rows = [preference(id=p, dialogue_id="S", chosen_turn_id=c, rejected_turn_id=r) for p, c, r in pairs]
    store.add(*rows)
    assert [stale(lag) for lag in (0, 1, None)] == [0, 0, 0]
    promote(2, "rolled_back")
    promote(3)
    assert [stale(lag) for lag in (0, 1, None)] == [2, 0, 0]
    promote(4)
    assert [stale(lag) for lag in (0, 1, None)] == [2, 2, 0]
    store.add(TrainingItem(id="i3", training_id="x1", run_id="RUN1", position=2, preference_id="mixed"))
    assert [stale(lag) for lag in (0, 1, None)] == [1, 1, 0]


def test_how_the_critic_judged(scene: Scene) -> None:
    found = verdict_facts(scene.store, scene.store.resolve_run("RUN1"))
    assert found["count"] == 6
    assert found["consistency"] == pytest.approx(5 / 6)
    assert found["position_bias"] == {"first": pytest.approx(1 / 6), "second": 0}
    assert found["margin"] == pytest.approx((0.4 + 0.6 + 0.03 + 0.4 + 0.1 + 0.4) / 6)


def test_even_odds_are_a_tie_and_no_matter_of_order(scene: Scene) -> None:
    store = scene.store
    store.add(run(id="RUN3"))
    scene.dialogue("K", run_id="RUN3", status="finished")
    first, second = (scene.say("K", text, run_id="RUN3") for text in "kl")
    even = {"p_forward": 0.5, "p_reverse": 0.5, "p_first": 0.5, "consistent": False}
    scene.judge("K", first, second, "tie", run_id="RUN3", **even)
    row = store.resolve_run("RUN3")
    assert funnel(store, row)["comparisons"] == {"candidates": {"made": 1, "ties": 1, "inconsistent": 0}}
    assert verdict_facts(store, row)["consistency"] == 1


def test_a_run_in_which_nothing_was_said_yields_nothing(store: Store) -> None:
    row = store.resolve_run("RUN1")
    found = funnel(store, row)
    assert found["drafts"] == {"made": 0, "rejected": {}, "duplicates": 0, "valid": 0}
    assert found["revisions"] == {"made": 0, "rejected": {}, "unchanged": 0, "accepted": 0}
    assert found["comparisons"] == found["preferences"] == {}
    assert verdict_facts(store, row) == {"count": 0, "unanswered": {}}
