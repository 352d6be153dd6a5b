"""Last words: what failed comes first, what was set aside next, and a key only where it decides what was lost."""

from typing import Any

import pytest

from openmic.graph.context.losses import little_to_learn_from
from openmic.graph.stages.last_words import nothing_to_learn_from
from openmic.store import Run, Store, TrainingItem, failures, told_failures

from ...store.rows import dialogue, example, preference, run, training, turn, verdict

KEYS = ("dialogue.inputs", "dialogue.candidates", "preferences.length_ratio", "training.max_staleness", "cast.critic")
DOWN = (
    "EndpointError: the critic's endpoint http://gpu-1:8000/v1 did not answer for model 'm' after {} attempts: refused"
)


@pytest.fixture
def begun(store: Store) -> Run:
    """A run with one input, and nothing said yet."""
    row = run(config={})
    store.add(row, example())
    return row


def held(store: Store, name: str, **values: Any) -> None:
    store.add(example(id=name, text=name), dialogue(**{"id": name, "example_id": name} | values))


def keys_in(words: str) -> list[str]:
    return [key for key in KEYS if key in words]


def test_an_endpoint_that_was_down_is_named_and_no_key_is(store: Store, begun: Run) -> None:
    for number in range(12):
        held(store, f"d{number}", status="failed", error=DOWN.format(number))
    held(store, "other", status="failed", error="ReplyError: unreadable")
    words = nothing_to_learn_from(store, begun, 1)
    assert words == (
        f"no preference is left to train on; 12 dialogues failed ({DOWN.format(0)}); 1 dialogues failed (ReplyError: "
        "unreadable); mend what they failed of, and resume: they are held again"
    )
    assert keys_in(words) == []
    assert failures(store, begun) == [
        {"stage": "collect", "count": 12, "error": DOWN.format(0)},
        {"stage": "collect", "count": 1, "error": "ReplyError: unreadable"},
    ]
    assert failures(store, begun, 2) == []


def test_reasons_beyond_the_third_are_counted(store: Store, begun: Run) -> None:
    for number, name in enumerate("abcde"):
        held(store, name, status="failed", error=f"{name}Error: no")
        held(store, f"{name}{number}", status="failed", error=f"{name}Error: no")
    first, others = told_failures(failures(store, begun))
    assert (len(first), others) == (3, 4)
    assert "; 4 more failed for other reasons" in nothing_to_learn_from(store, begun, 1)


def test_drafts_that_the_gates_took_out_are_told_by_gate(store: Store, begun: Run) -> None:
    for name in ("a", "b"):
        held(store, name, status="finished")
        for seq, note in enumerate(["too short", "too short", "cut off"]):
            store.add(turn(seq, id=f"{name}{seq}", dialogue_id=name, note=note))
    words = nothing_to_learn_from(store, begun, 1)
    assert "of 6 drafts, 4 too short, 2 cut off" in words
    assert "of 2 dialogues, 2 with no valid draft" in words
    assert "the task's validity" in words
    assert keys_in(words) == []


def test_one_draft_that_stood_alone_wants_more_candidates(store: Store, begun: Run) -> None:
    held(store, "a", status="finished")
    store.add(turn(0, id="a0", dialogue_id="a", content="x"), turn(1, id="a1", dialogue_id="a", content="x"))
    words = nothing_to_learn_from(store, begun, 1)
    again = "a run keeps its settings, so begin another, which takes over what is unchanged (openmic run CONFIG --set "
    assert words.endswith(f"; {again}KEY=VALUE --from RUN1)")
    assert again not in nothing_to_learn_from(store, begun), "of a training, which is begun otherwise"
    assert "of 2 drafts, 1 duplicate" in words
    assert keys_in(words) == ["dialogue.candidates"]


def test_a_critic_that_cannot_tell_them_apart_is_named(store: Store, begun: Run) -> None:
    held(store, "d1", status="finished")
    store.add(turn(0, content="one two"), turn(1, content="three four"))
    store.add(turn(2, agent="critic", kind="verdict"), turn(3, agent="critic", kind="verdict"))
    store.add(verdict(outcome="tie", consistent=True))
    words = nothing_to_learn_from(store, begun, 1)
    assert "of 1 comparisons, 1 tied" in words
    assert keys_in(words) == ["cast.critic"]


def test_a_preference_outside_the_length_filter_names_its_key_alone(store: Store, begun: Run) -> None:
    held(store, "d1", status="finished")
    store.add(turn(0, content="one two"), turn(1, content="three four"))
    store.add(preference(length_ratio=3.0))
    words = nothing_to_learn_from(store, begun, 1)
    assert "of 1 preferences, 1 outside the length filter" in words
    assert keys_in(words) == ["preferences.length_ratio"]


def test_what_a_training_may_not_learn_from_is_named_though_its_source_did(store: Store, begun: Run) -> None:
    held(store, "d1", status="finished")
    store.add(turn(0, content="one two"), turn(1, content="three four"))
    store.add(preference(length_ratio=1.0), training())
    store.add(TrainingItem(id="j1", run_id="RUN1", training_id="x1", position=0, preference_id="p1"))
    begun.config = {"preferences": {"candidates": False}}  # the training's own, over its source's rows
    words = nothing_to_learn_from(store, begun)
    assert "of 1 preferences, 1 switched off; " in words
    assert words.endswith("train on what is switched off (preferences)")


def test_where_nothing_was_lost_more_dialogues_help(store: Store, begun: Run) -> None:
    assert keys_in(nothing_to_learn_from(store, begun, 1)) == ["dialogue.inputs"]


def _funnel(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "drafts": {"made": 72, "rejected": {"cut off": 31}, "duplicates": 2, "valid": 39},
        "dialogues": {"drafted": 24, "no_valid_draft": 9, "one_valid_draft": 4, "no_similar_length": 1},
        "revisions": {"made": 0, "rejected": {}, "unchanged": 0, "accepted": 0},
        "comparisons": {"candidates": {"made": 10, "ties": 2, "inconsistent": 3}},
        "preferences": {"candidates": _preferences(made=5, trained_on=5)},
    }
    return found | changes


def _preferences(**counts: int) -> dict[str, int]:
    nothing = dict.fromkeys(("made", "outside_length", "too_stale", "too_long", "switched_off", "trained_on"), 0)
    return nothing | counts


def _finished(objective: str = "dpo", **values: Any) -> Run:
    return run(**{"config": {"training": {"objective": objective}}, "status": "finished"} | values)


def test_a_run_that_learned_from_little_names_the_two_keys_that_would_help_most() -> None:
    words = little_to_learn_from(_funnel(), _finished())
    assert words == (
        "feedback had little to learn from: 5 preferences of 24 dialogues were trained on: let drafts be longer "
        "(student.sampling.max_tokens), or look at the drafts and at the task's validity (openmic transcripts list); "
        "or take another critic (cast.critic)"
    )
    gates = _funnel(drafts={"made": 72, "rejected": {"too short": 31}, "duplicates": 0, "valid": 41})
    assert "trained on: look at the drafts and at the task's validity" in (
        little_to_learn_from(gates, _finished()) or ""
    )


@pytest.mark.parametrize(
    ("found", "of"),
    [
        (_funnel(preferences={"candidates": _preferences(made=9, trained_on=8)}), _finished()),
        (_funnel(), _finished("sft")),
        (_funnel(), _finished("opd")),
        (_funnel(preferences={}), _finished("mine:Own")),
        (_funnel(), _finished(status="interrupted")),
        (_funnel(), _finished(kind="train")),
        (
            _funnel(dialogues={"drafted": 0, "no_valid_draft": 0, "one_valid_draft": 0, "no_similar_length": 0}),
            _finished(),
        ),
    ],
)
def test_nothing_is_said_where_there_was_enough_or_no_preference_is_needed(found: dict[str, Any], of: Run) -> None:
    assert little_to_learn_from(found, of) is None


def test_with_nothing_lost_there_is_but_one_key() -> None:
    nothing = {
        "drafts": {"made": 9, "rejected": {}, "duplicates": 0, "valid": 9},
        "dialogues": {"drafted": 4, "no_valid_draft": 0, "one_valid_draft": 0, "no_similar_length": 0},
        "comparisons": {},
        "preferences": {},
    }
    assert "hold more dialogues (dialogue.inputs)" in (little_to_learn_from(_funnel(**nothing), _finished()) or "")
