"""Blind ratings: which pairs, in what order, on which side; and that nothing is counted twice."""

from typing import Any

import pytest

from openmic.core.errors import NotFoundError
from openmic.core.records import Agent, Split, Stage, TurnKind
from openmic.store import Annotation, Evaluation, EvaluationItem, PromptTemplateRow, Run, Store
from openmic.store.ratings import (
    Choice,
    blind_pair,
    first_is_left,
    pairs_to_rate,
    rated_pairs,
    rating,
    ratings_of,
    verdict_to_rate,
    versions_to_rate,
)

from .rows import dialogue, example, turn, verdict
from .rows import run as new_run

VERSIONS, INPUTS = (0, 2), 6
RATERS = [f"rater {number}" for number in range(40)]


@pytest.fixture
def run(store: Store) -> Run:
    """A run with two adapters examined on six inputs; on the last, adapter 2 says just what the teacher does."""
    store.add(*(example(id=f"x{number}", text=f"input {number}") for number in range(INPUTS)))
    store.add(
        PromptTemplateRow(hash="h1", task="humor", role="judge", purpose="compare", version="1", text="Which one?")
    )
    for version in VERSIONS:
        examine(store, version, Split.TEST)
    store.add(
        dialogue(),
        *(turn(seq, adapter_version=2 if seq < 3 else None) for seq in range(3)),
        turn(3, kind=TurnKind.VERDICT, agent=Agent.CRITIC),
        turn(4, kind=TurnKind.VERDICT, agent=Agent.CRITIC),
        turn(5, kind=TurnKind.VERDICT, agent=Agent.CRITIC),
        verdict(forward_turn_id="t3", reverse_turn_id="t4"),
        verdict(id="v2", second_turn_id="t2", forward_turn_id="t5", reverse_turn_id="t4", outcome="loss"),
    )
    found = store.get(Run, "RUN1")
    assert found is not None
    return found


def examine(store: Store, version: int, split: Split, status: Any = "finished") -> None:
    evaluation = f"{split}-{version}"
    store.add(Evaluation(id=evaluation, run_id="RUN1", adapter_version=version, split=split, status=status))
    for number in range(INPUTS):
        name = f"{evaluation}-{number}"
        of = {"dialogue_id": f"d-{name}"}
        same = version == 2 and number == INPUTS - 1
        content = f"reference {number}" if same else f"output of {name}"
        judge: dict[str, Any] = {"agent": Agent.JUDGE, "kind": TurnKind.VERDICT, "template_hash": "h1"}
        turns = {"first_turn_id": f"o-{name}", "second_turn_id": f"r-{name}"}
        asked = {"forward_turn_id": f"f-{name}", "reverse_turn_id": f"b-{name}"}
        store.add(
            dialogue(
                id=f"d-{name}", stage=Stage.EVALUATE, round=version + 10 * (split is Split.DEV), example_id=f"x{number}"
            ),
            turn(0, id=f"o-{name}", content=content, adapter_version=version, **of),
            turn(1, id=f"r-{name}", content=f"reference {number}", agent=Agent.TEACHER, **of),
            turn(2, id=f"f-{name}", **of, **judge),
            turn(3, id=f"b-{name}", **of, **judge),
            verdict(id=f"v-{name}", agent="judge", **turns, **asked, **of),
            EvaluationItem(
                evaluation_id=evaluation,
                example_id=f"x{number}",
                output_turn_id=f"o-{name}",
                reference_turn_id=f"r-{name}",
                verdict_id=f"v-{name}",
                outcome="win",
                length_ratio=1.0,
            ),
        )


def rate(store: Store, run: Run, verdict_id: str, rater: str, choice: Choice, corrects: str | None = None) -> int:
    found = verdict_to_rate(store, run, verdict_id)
    return store.add_new(rating(found, rater, choice, seconds=1.5, corrects=corrects))


def input_of(verdict_id: str) -> str:
    return verdict_id.rpartition("-")[2]


def test_every_input_comes_once_before_one_comes_again(store: Store, run: Run) -> None:
    pairs = pairs_to_rate(store, run, "test", number=100)
    assert len(pairs) == len(set(pairs)) == len(VERSIONS) * INPUTS - 1  # one output is the teacher's text itself
    assert {input_of(pair) for pair in pairs[:INPUTS]} == {str(number) for number in range(INPUTS)}
    assert pairs_to_rate(store, run, "test", number=4) == pairs[:4]


def test_the_order_is_the_runs_own(store: Store, run: Run) -> None:
    pairs = pairs_to_rate(store, run, "test", number=100)
    assert pairs == pairs_to_rate(store, run, "test", number=100)
    others = {
        tuple(pairs_to_rate(store, run.model_copy(update={"seed": seed}), "test", number=100)) for seed in range(5)
    }
    assert len(others) == 5
    assert {frozenset(other) for other in others} == {frozenset(pairs)}


def test_only_finished_evaluations_on_test_inputs_of_the_wanted_versions(store: Store, run: Run) -> None:
    examine(store, 2, Split.DEV)
    examine(store, 3, Split.TEST, status="running")
    assert versions_to_rate(store, run) == [0, 2]
    assert all(pair.startswith("v-test-2-") for pair in pairs_to_rate(store, run, "test", versions=[2, 3], number=100))
    assert len(pairs_to_rate(store, run, "test", number=100)) == 11


def test_pairs_of_dialogues_are_those_that_the_critic_compared(store: Store, run: Run) -> None:
    assert set(pairs_to_rate(store, run, "dialogues", number=100)) == {"v1", "v2"}
    assert pairs_to_rate(store, run, "dialogues", versions=[0], number=100) == []
    assert len(pairs_to_rate(store, run, "dialogues", versions=[2], number=100)) == 2


def test_sides_are_drawn_for_each_rater_and_stay(store: Store, run: Run) -> None:
    verdicts = pairs_to_rate(store, run, "test", number=100)
    left = [first_is_left(verdict_id, rater) for verdict_id in verdicts for rater in RATERS]
    assert left == [first_is_left(verdict_id, rater) for verdict_id in verdicts for rater in RATERS]
    assert sum(left) / len(left) == pytest.approx(0.5, abs=0.1)
    found = verdict_to_rate(store, run, verdicts[0])
    shown = {blind_pair(store, found, rater).left for rater in RATERS}
    assert len(shown) == 2
    pair = blind_pair(store, found, RATERS[0])
    assert pair.input == f"input {input_of(verdicts[0])}"
    assert pair.question == "Which one?"
    assert (pair.left.startswith("output"), pair.right.startswith("output")) == (
        first_is_left(found.id, RATERS[0]),
        not first_is_left(found.id, RATERS[0]),
    )


@pytest.mark.parametrize("choice", ["left", "right", "tie", "skip"])
def test_what_is_kept_says_how_the_first_text_fared(store: Store, run: Run, choice: Choice) -> None:
    for rater in RATERS[:6]:
        assert rate(store, run, "v1", rater, choice) == 1
        assert ratings_of(store, run, rater)["v1"].choice == choice
    kept = store.select(Annotation, verdict_id="v1", name="preference")
    for row in kept:
        for_first = (row.data["left"] == "t0") == (choice == "left")
        assert row.label == (choice if choice in {"tie", "skip"} else "win" if for_first else "loss")
        assert row.data["seconds"] == 1.5
    labels = {given.outcome for pair in rated_pairs(store, run, "dialogues") for given in pair.ratings}
    assert labels == ({"tie"} if choice == "tie" else {None} if choice == "skip" else {"win", "loss"})


def test_a_rating_that_is_sent_twice_is_kept_once(store: Store, run: Run) -> None:
    assert [rate(store, run, "v1", "ann", choice) for choice in ("left", "left", "right")] == [1, 0, 0]
    assert rate(store, run, "v1", "bo", "left") == 1
    assert ratings_of(store, run, "ann")["v1"].choice == "left"


def test_the_last_correction_counts_and_nothing_is_changed(store: Store, run: Run) -> None:
    rate(store, run, "v1", "ann", "left")
    rate(store, run, "v2", "ann", "tie")
    before = store.select(Annotation, order_by="id")
    for choice in ("right", "skip", "tie"):
        current = ratings_of(store, run, "ann")["v1"].annotation_id
        assert rate(store, run, "v1", "ann", choice, current) == 1
        assert rate(store, run, "v1", "ann", "left", current) == 0
    given = ratings_of(store, run, "ann")
    assert [(pair, one.choice) for pair, one in given.items()] == [("v2", "tie"), ("v1", "tie")]
    assert [row for row in store.select(Annotation, order_by="id") if row.id in {one.id for one in before}] == before
    [pair] = [pair for pair in rated_pairs(store, run, "dialogues") if pair.outcome == "win"]
    assert [one.outcome for one in pair.ratings] == ["tie"]


def test_rated_pairs_hold_what_judge_and_people_said(store: Store, run: Run) -> None:
    rate(store, run, "v-test-2-1", "bo", "tie")
    rate(store, run, "v-test-2-1", "ann", "left")
    rate(store, run, "v2", "ann", "skip")
    [pair] = rated_pairs(store, run, "test")
    assert (pair.version, pair.outcome, pair.p_forward, pair.p_reverse) == (2, "win", 0.8, 0.6)
    assert (pair.first_length, pair.second_length) == (5, 2)
    assert [one.rater for one in pair.ratings] == ["ann", "bo"]
    assert pair.ratings[0].first_left == (pair.ratings[0].outcome == "win")
    [compared] = rated_pairs(store, run, "dialogues")
    assert (compared.version, compared.outcome) == (None, "loss")


def test_another_critics_verdicts_on_the_same_pairs_are_measured_by_the_same_ratings(store: Store, run: Run) -> None:
    again = new_run(id="RUN2", kind="rejudge", source_run_id="RUN1")
    asked: dict[str, Any] = {"agent": Agent.CRITIC, "kind": TurnKind.VERDICT}
    of = {"run_id": "RUN2", "dialogue_id": "d2"}
    store.add(
        again,
        dialogue(id="d2", run_id="RUN2", stage=Stage.REJUDGE),
        turn(0, id="again0", **of, **asked),
        turn(1, id="again1", **of, **asked),
        verdict(id="v3", forward_turn_id="again0", reverse_turn_id="again1", outcome="tie", **of),
    )
    rate(store, run, "v1", "ann", "tie")
    rate(store, run, "v1", "bo", "tie")
    rate(store, run, "v2", "bo", "left")
    rate(store, again, "v3", "bo", "skip")
    [pair] = rated_pairs(store, again, "dialogues")
    assert pair.outcome == "tie"
    assert [(one.rater, one.outcome) for one in pair.ratings] == [("ann", "tie"), ("bo", None)]
    [first, _] = rated_pairs(store, run, "dialogues")
    assert [one.outcome for one in first.ratings] == ["tie", "tie"]


def test_a_pair_of_another_run_cannot_be_rated(store: Store, run: Run) -> None:
    other = run.model_copy(update={"id": "RUN2"})
    for name, of in (("v1", other), ("nothing", run)):
        with pytest.raises(NotFoundError, match=name):
            verdict_to_rate(store, of, name)
