"""What a whole campaign yields with every objective and both kinds of student, through real Ray actors.

The students are built in the test and write garbage, so what is asserted is structure: that every objective gets what
it learns from, and that an adapter comes of it. Each kind has one campaign, with the objective that learns from most;
the other objectives train from its transcripts. One Ray session serves all.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from openmic.core.config import RunConfig
from openmic.core.config_file import load_config
from openmic.core.ids import new_id
from openmic.graph.context.progress import Silent
from openmic.graph.preflight.checks import check
from openmic.graph.report import run_status
from openmic.graph.runs.retrain import start_training
from openmic.graph.runs.start import start_run
from openmic.simulator import SimulatedCast, SimulatorSettings
from openmic.store import Dialogue, Preference, Run, Store, Training, TrainingItem, TrainingMetric, Turn
from openmic.training.objectives import OBJECTIVES, objective_names

from .whole_run import write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("ray_running")]
CAMPAIGN_S = "brio-dpo"
CAUSAL = tuple(name for name in objective_names() if name != "opd")
"""Dialogues of `opd` are others, and so is their teacher: `tests/test_on_policy_distillation.py`."""
SEQ2SEQ = ("sft", "dpo", "brio-dpo")
"""One objective for each form of what is learned from: texts, pairs, and ranked lists before pairs."""


@pytest.fixture(scope="module")
def cast_url() -> Iterator[str]:
    with SimulatedCast(SimulatorSettings(seed=3, quality=0.5)) as cast:
        yield cast.base_url


def settings_of(folder: Path, student: Path, cast_url: str, objective: str) -> RunConfig:
    path = write_config(
        folder,
        student,
        cast={role: {"model": f"sim-{role}", "base_url": cast_url} for role in ("teacher", "critic", "judge")},
        training={"objective": objective, "threads": 1},
        dialogue={"candidates": 4, "selection": "tournament"},
        evaluation={"test_inputs": 2},
    )
    return load_config(path, [f"home={folder / 'home'}"], environment={})


@pytest.fixture(scope="module")
def campaigns(
    tiny_causal: Path, tiny_seq2seq: Path, cast_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[RunConfig, Run]]:
    """A finished campaign of each kind of student, with the objective that learns from all that there is."""

    @cache
    def campaign(kind: str) -> tuple[RunConfig, Run]:
        student = tiny_causal if kind == "causal" else tiny_seq2seq
        config = settings_of(tmp_path_factory.mktemp(kind), student, cast_url, CAMPAIGN_S)
        return config, start_run(new_id(), config, check(config), [], Silent())

    return campaign


@pytest.mark.parametrize(
    ("objective", "kind"), [*((name, "causal") for name in CAUSAL), *((name, "seq2seq") for name in SEQ2SEQ)]
)
def test_a_campaign_is_learned_from_with_every_objective(
    objective: str, kind: str, campaigns: Callable[[str], tuple[RunConfig, Run]], cast_url: str, tmp_path: Path
) -> None:
    config, run = campaigns(kind)
    check(settings_of(tmp_path, Path(config.student.model), cast_url, objective))
    with Store.open(config.store_url) as store:
        assert run_status(store, run)["dialogues"]["failed"] == 0
        if objective != CAMPAIGN_S:
            run = start_training(
                store, run, objective=objective, overrides=[], start=None, arguments=[], progress=Silent()
            )
        status = run_status(store, run)
        [training] = store.select(Training, run_id=run.id, stage="round")
        items = store.select(TrainingItem, training_id=training.id)
        curve = store.select(TrainingMetric, training_id=training.id)
        sources = {row.source for row in store.select(Preference, id=[item.preference_id for item in items])}
        taught = store.select(Turn, id=[item.turn_id for item in items if item.turn_id is not None])
    assert status["status"] == "finished"
    assert [version["version"] for version in status["versions"]] == [0, 1, 2]
    assert training.status == "finished"
    assert training.objective == objective
    assert len(curve) == training.metrics["steps"] > 0
    if objective == "sft":
        assert not sources
        assert {turn.agent for turn in taught} == {"teacher"}
    else:
        assert not taught
        assert "candidates" in sources
    assert ("teacher_pair" in sources) is (objective == "brio-dpo")
    phases = {row.values["phase"] for row in curve}
    assert phases == ({1, 2} if objective == "brio-dpo" else {1})
    assert set(OBJECTIVES) | {"brio-dpo"} == set(objective_names())


def test_the_student_is_trained_while_dialogues_go_on(tiny_causal: Path, cast_url: str, tmp_path: Path) -> None:
    path = write_config(
        tmp_path,
        tiny_causal,
        cast={role: {"model": f"sim-{role}", "base_url": cast_url} for role in ("teacher", "critic", "judge")},
        training={"train_every": 4, "threads": 1, "max_length": 1024},
        dialogue={"inputs": 16, "concurrency": 2},
        evaluation={"test_inputs": 2, "rollback_margin": 1.0, "diversity_floor": 0.0},
    )
    config = load_config(path, [f"home={tmp_path / 'home'}"], environment={})
    run = start_run(new_id(), config, check(config), [], Silent())
    with Store.open_readonly(config.store_url) as store:
        trainings = store.select(Training, run_id=run.id, stage="round", order_by="adapter_version")
        items = store.select(TrainingItem, run_id=run.id)
        drafts = store.select(Turn, run_id=run.id, kind="draft", order_by="created_at")
        dialogues = store.select(Dialogue, run_id=run.id, stage="collect")
        versions = run_status(store, run)["versions"]
    assert len(trainings) >= 2
    assert [training.parent_version for training in trainings] == [t.adapter_version - 1 for t in trainings]
    assert all(training.examples >= 4 for training in trainings[:-1])
    held = {dialogue.id for dialogue in dialogues}
    used = {draft.dialogue_id: set[int | None]() for draft in drafts if draft.dialogue_id in held}
    for draft in drafts:
        if draft.dialogue_id in used:
            used[draft.dialogue_id].add(draft.adapter_version)
    assert all(len(adapters) == 1 for adapters in used.values()), "every dialogue is of one student"
    assert len(set.union(*used.values())) >= 2, "later dialogues are held with what came of earlier ones"
    learned = [item.preference_id for item in items if item.preference_id is not None]
    assert len(learned) == len(set(learned))
    assert all(version["promoted"] for version in versions)
