"""A whole campaign of on-policy distillation: a real Ray, a tiny student, and a teacher that is a tiny model itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.store import LLMCall, Store, Training, TrainingItem, TrainingMetric, Turn

from .agents.scripted_endpoint import ScriptedEndpoint
from .tiny_teacher import TinyTeacher
from .whole_run import WholeRun, openmic_here, whole_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("ray_running")]
DRAFTS = 6 * 3
"""Of the round."""


@pytest.fixture(scope="module")
def teacher(tiny_causal: Path) -> Iterator[ScriptedEndpoint]:
    script = TinyTeacher(tiny_causal)
    with ScriptedEndpoint() as running:
        running.chat, running.models = script.chat, script.models
        yield running


@pytest.fixture(scope="module")
def config(teacher: ScriptedEndpoint, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sampling = {"max_tokens": 16, "temperature": 1.0, "top_p": 1.0}
    return write_config(
        tmp_path_factory.mktemp("opd"),
        tiny_causal,
        cast={"teacher": {"model": "tiny-teacher", "base_url": teacher.base_url}},
        student={"sampling": sampling},
        training={"objective": "opd"},
    )


@pytest.fixture(scope="module")
def campaign(config: Path) -> WholeRun:
    run = whole_run(config, here=True)
    assert run.code == 0, run.stderr
    return run


def test_what_it_will_ask_is_told_before(config: Path) -> None:
    checked = openmic_here("run", str(config), "--dry-run", cwd=config.parent)
    assert checked.returncode == 0, checked.stderr
    done = openmic_here("run", str(config), "--estimate", "--json", cwd=config.parent)
    assert done.returncode == 0, done.stderr
    roles = json.loads(done.stdout)["at_most"]["roles"]
    assert roles["teacher"]["calls"] >= DRAFTS
    assert roles["critic"]["calls"] == 0


def test_a_student_learns_from_what_the_teacher_thinks_of_its_drafts(campaign: WholeRun) -> None:
    with Store.open_readonly(campaign.store) as store:
        [training] = store.select(Training, stage="round")
        items = store.select(TrainingItem, training_id=training.id)
        taught = store.select(Turn, id=[item.turn_id for item in items if item.turn_id is not None])
        said = store.select(Turn, kind="logprobs")
        curve = store.select(TrainingMetric, training_id=training.id, order_by="step")
        calls = store.select(LLMCall, role="critic")
    assert (training.objective, training.status, training.parent_version) == ("opd", "finished", 1)
    assert len(items) == len(taught) == len(said) == DRAFTS
    assert {(turn.kind.value, turn.adapter_version) for turn in taught} == {("draft", 1)}
    assert all(len(turn.raw["token_logprobs"]) > 0 for turn in said)
    assert curve[0].values["ratio"] == pytest.approx(1.0, abs=1e-3), "the parent is the version that wrote the drafts"
    assert calls == []
    roles = campaign.status["llm"]
    assert roles["teacher"]["calls"] >= DRAFTS


def test_it_is_learned_from_again_from_what_is_stored(campaign: WholeRun) -> None:
    done = openmic_here("train", campaign.status["run"], "--json", cwd=campaign.folder)
    assert done.returncode == 0, done.stderr


def test_another_objective_finds_no_preferences_in_it(campaign: WholeRun) -> None:
    done = openmic_here("train", campaign.status["run"], "--objective", "dpo", "--json", cwd=campaign.folder)
    assert done.returncode == 1
    assert "no preference is left to train on" in done.stderr
