from pathlib import Path
from typing import Any

import pytest

from openmic.core.ids import content_hash, derive_id
from openmic.core.records import Agent, Outcome, Split, Stage, TurnKind
from openmic.graph.report import run_status
from openmic.store import Adapter, Dialogue, Evaluation, EvaluationItem, Run, Store, Training, Turn, VerdictRow
from openmic.store.tables.training import AdapterStage, AdapterStatus
from openmic.store.tables.transcript import DialogueStatus

from .conftest import Bench, Prepare, ScriptedPool, example_of, run_row

PROMISED = {
    "run",
    "kind",
    "source_run",
    "status",
    "cast",
    "confidence",
    "dialogues",
    "stages",
    "failed",
    "turns",
    "funnel",
    "verdicts",
    "store",
    "adapter_path",
    "versions",
    "gain",
}
OF_A_VERSION = {
    "version",
    "stage",
    "promoted",
    "n",
    "win",
    "tie",
    "loss",
    "win_tie_rate",
    "ci",
    "length_ratio",
    "distinct_2",
}
INPUTS = [example_of(f"Held-out sentence {n}.", Split.TEST) for n in range(4)]


def adapter(stage: Bench, version: int, name: AdapterStage, status: AdapterStatus, **values: Any) -> None:
    stage.store.add(
        Adapter(
            id=derive_id("RUN1", "adapter", version),
            run_id="RUN1",
            version=version,
            stage=name,
            round=values.pop("round", max(0, version - 1)),
            base_model="tiny",
            uri=f"/adapters/v{version}" if version else None,
            status=status,
            **values,
        )
    )


def judged(stage: Bench, version: int, outcomes: str, over: bool = True, **summary: Any) -> None:
    """An evaluation with one item for each letter: w, t or l; for f, an item that failed."""
    evaluation = derive_id("RUN1", "evaluation", version, Split.TEST)
    stage.store.add(
        Evaluation(
            id=evaluation,
            run_id="RUN1",
            adapter_version=version,
            split=Split.TEST,
            status="finished" if over else "running",
            summary=summary if over else {},
        )
    )
    names: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}
    for example, letter in zip(INPUTS if over else INPUTS[: len(outcomes)], outcomes, strict=True):
        dialogue = f"d{version}-{example.id}"
        status: DialogueStatus = "failed" if letter == "f" else "finished"
        error = "EndpointError: down" if letter == "f" else None
        stage.store.add(
            Dialogue(
                id=dialogue,
                run_id="RUN1",
                stage=Stage.EVALUATE,
                round=version,
                example_id=example.id,
                status=status,
                error=error,
            )
        )
        if letter == "f":
            continue
        turns = [
            Turn(
                id=f"{dialogue}-{seq}",
                run_id="RUN1",
                dialogue_id=dialogue,
                seq=seq,
                agent=Agent.STUDENT,
                kind=TurnKind.DRAFT,
                content="text",
                content_hash=content_hash("text"),
                model="tiny",
            )
            for seq in range(4)
        ]
        stage.store.add(*turns)
        ids = [turn.id for turn in turns]
        stage.store.add(
            VerdictRow(
                id=f"v-{dialogue}",
                run_id="RUN1",
                dialogue_id=dialogue,
                agent="judge",
                first_turn_id=ids[0],
                second_turn_id=ids[1],
                forward_turn_id=ids[2],
                reverse_turn_id=ids[3],
                p_forward=0.5,
                p_reverse=0.5,
                p_first=0.5,
                consistent=True,
                outcome=names[letter],
                method="logprobs",
            )
        )
        stage.store.add(
            EvaluationItem(
                evaluation_id=evaluation,
                example_id=example.id,
                output_turn_id=ids[0],
                reference_turn_id=ids[1],
                verdict_id=f"v-{dialogue}",
                outcome=names[letter],
                length_ratio=1.0,
            )
        )


def status_of(store: Store) -> dict[str, Any]:
    run = store.get(Run, "RUN1")
    assert run is not None
    return run_status(store, run)


SUMMARY: dict[str, Any] = {
    "n": 4,
    "win": 1,
    "tie": 1,
    "loss": 2,
    "win_tie_rate": 0.5,
    "ci": [0.0, 1.0],
    "length_ratio": 1.2,
}
SUMMARY |= {"distinct_2": 0.9}


def test_a_run_that_has_just_begun_has_every_promised_key(prepare: Prepare, store: Store) -> None:
    prepare(INPUTS)
    status = status_of(store)
    assert set(status) >= PROMISED
    assert status["dialogues"] == {"finished": 0, "failed": 0, "pending": 0}
    assert status["cast"] == "simulated"
    assert status["adapter_path"] is None
    assert status["versions"] == []
    assert status["gain"] is None


def test_each_judged_version_has_every_promised_key(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    adapter(stage, 0, "base", "promoted")
    adapter(stage, 1, "imitation", "promoted")
    judged(stage, 1, "wtll", **SUMMARY)
    unjudged, imitation = status_of(store)["versions"]
    assert set(imitation) >= OF_A_VERSION
    assert (unjudged["version"], unjudged["stage"], "n" in unjudged) == (0, "no adapter", False)


def test_the_gain_is_paired_from_imitation_to_the_last_promoted_version(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS, evaluation={"bootstrap_samples": 500})
    steps: list[tuple[int, AdapterStage, AdapterStatus, str]] = [
        (1, "imitation", "promoted", "llll"),
        (2, "round", "promoted", "wtll"),
        (3, "round", "rolled_back", "llll"),
    ]
    for version, name, decided, outcomes in steps:
        adapter(stage, version, name, decided)
        judged(stage, version, outcomes, **SUMMARY)
    status = status_of(store)
    gain = status["gain"]
    assert set(gain) == {"from", "to", "value", "ci", "n"}
    assert gain["n"] == 4
    assert (gain["from"], gain["to"]) == (1, 2)
    assert gain["value"] == pytest.approx(0.5)
    assert 0 <= gain["ci"][0] <= 0.5 <= gain["ci"][1] <= 1
    assert [version["promoted"] for version in status["versions"]] == [True, True, False]
    assert status["adapter_path"] == "/adapters/v2"


def test_where_nothing_was_promoted_the_last_try_is_reported_as_the_gain(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    steps: list[tuple[int, AdapterStage, AdapterStatus, str]] = [
        (1, "imitation", "promoted", "wwll"),
        (2, "round", "rolled_back", "wlll"),
    ]
    for version, name, decided, outcomes in steps:
        adapter(stage, version, name, decided)
        judged(stage, version, outcomes, **SUMMARY)
    status = status_of(store)
    assert (status["gain"]["to"], status["gain"]["value"]) == (2, pytest.approx(-0.25))
    assert status["adapter_path"] == "/adapters/v1"


@pytest.mark.parametrize("running", [1, 2])
def test_a_gain_waits_until_both_versions_are_judged_to_the_end(prepare: Prepare, store: Store, running: int) -> None:
    stage = prepare(INPUTS)
    for version, name, outcomes in ((1, "imitation", "llll"), (2, "round", "wwww")):
        adapter(stage, version, name, "promoted")  # type: ignore[arg-type]  # both are stages
        over = version != running
        judged(stage, version, outcomes if over else outcomes[:2], over, **SUMMARY)
    status = status_of(store)
    assert status["gain"] is None
    [going_on] = [version for version in status["versions"] if version["version"] == running]
    assert (going_on["judged"], going_on["of"], "n" in going_on) == (2, 4, False)


def test_items_that_failed_are_counted_at_every_stage(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    store.add(
        *(
            Dialogue(
                id=f"d-{number}",
                run_id="RUN1",
                stage=Stage.DEMONSTRATE,
                round=0,
                example_id=example.id,
                status="failed" if number == 3 else "finished",
                error="ReplyError: refused" if number == 3 else None,
            )
            for number, example in enumerate(INPUTS)
        )
    )
    for version, name, outcomes in ((1, "imitation", "lflf"), (2, "round", "wwff")):
        adapter(stage, version, name, "promoted")  # type: ignore[arg-type]  # both are stages
        judged(stage, version, outcomes, **SUMMARY | {"n": 2})
    status = status_of(store)
    assert status["stages"] == {
        "demonstrate": {"finished": 3, "failed": 1, "pending": 0},
        "evaluate": {"finished": 4, "failed": 4, "pending": 0},
    }
    assert status["failed"] == 5
    assert [(one["stage"], one["count"]) for one in status["failures"]] == [("evaluate", 4), ("demonstrate", 1)]
    assert [(version["n"], version["of"]) for version in status["versions"]] == [(2, 4), (2, 4)]
    assert status["gain"]["n"] == 1  # the first input alone was judged for both
    assert status["gain"]["ci"][0] < status["gain"]["ci"][1]


def test_with_real_models_the_cast_is_named(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    run = stage.context(ScriptedPool([]), None).run  # type: ignore[arg-type] # nothing is asked
    store.update(Run, run.id, cast={"simulated": False, "teacher": "big", "critic": "other", "judge": "third"})
    assert status_of(store)["cast"] == {"teacher": "big", "critic": "other", "judge": "third"}


def test_the_store_is_where_it_says(prepare: Prepare, store: Store, tmp_path: Path) -> None:
    prepare(INPUTS)
    assert status_of(store)["store"] == f"sqlite:///{tmp_path / 'store.db'}"


def test_a_round_that_trained_more_than_once_counts_its_versions(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    steps: list[tuple[AdapterStage, int]] = [
        ("base", 0),
        ("imitation", 0),
        ("round", 1),
        ("round", 1),
        ("round", 2),
        ("round", 1),
    ]
    for version, (name, number) in enumerate(steps):
        adapter(stage, version, name, "promoted", round=number)
    names = [version["stage"] for version in status_of(store)["versions"]]
    assert names == ["no adapter", "imitation", "round 1", "round 1 (2)", "round 2", "round 1 (3)"]


def test_a_version_says_what_it_was_trained_on(prepare: Prepare, store: Store) -> None:
    stage = prepare(INPUTS)
    training = Training(
        id="x",
        run_id="RUN1",
        stage="round",
        round=1,
        objective="simpo",
        parent_version=0,
        adapter_version=1,
        seed=1,
        examples=7,
    )
    store.add(training)
    adapter(stage, 0, "base", "promoted")
    adapter(stage, 1, "round", "rolled_back", training_id="x", reason="worse")
    base, trained = status_of(store)["versions"]
    assert (base["objective"], base["examples"], base["reason"]) == (None, None, None)
    assert (trained["objective"], trained["examples"], trained["reason"]) == ("simpo", 7, "worse")


def test_a_run_over_anothers_transcripts_names_it(prepare: Prepare, store: Store, tmp_path: Path) -> None:
    stage = prepare(INPUTS, evaluation={"confidence": 0.9})
    assert (status_of(store)["kind"], status_of(store)["source_run"], status_of(store)["confidence"]) == (
        "campaign",
        None,
        0.9,
    )
    cast = {"simulated": True, "critic": "sim-critic", "jury": ["sim-critic-2"]}
    derived = run_row(stage.config, tmp_path, id="RUN2", kind="rejudge", source_run_id="RUN1", cast=cast)
    store.add(derived)
    status = run_status(store, derived)
    assert (status["kind"], status["source_run"], status["versions"]) == ("rejudge", "RUN1", [])
    assert status["models"] == {"critic": "sim-critic", "jury": ["sim-critic-2"]}


def test_a_run_with_settings_that_this_version_does_not_know_can_be_shown(prepare: Prepare, store: Store) -> None:
    prepare(INPUTS)
    store.update(Run, "RUN1", config={"student": {"model": "tiny"}, "dialogue": {"tie_margin": 0.1}})
    status = status_of(store)
    assert (status["student"], status["confidence"]) == ("tiny", 0.95)
