import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.core.errors import StudentChangedError, TrainingError
from openmic.core.records import NO_ADAPTER, AdapterRef, TrainingMetrics
from openmic.core.student_settings import StudentWeights
from openmic.core.training_settings import FineTuneSettings, LoRASettings
from openmic.training.adapters.adapters import MANIFEST, verify_adapter
from openmic.training.student.fingerprint import KnownFiles, student_files
from openmic.training.trainer.actor import TrainerWorker, TrainingJob, TrainingPhase, TrainingProgress

from ..factories import demonstration, preference
from ..jobs import weights_of


@pytest.fixture
def job(tiny_causal: Path, tmp_path: Path) -> TrainingJob:
    return TrainingJob(
        student=StudentWeights(model=str(tiny_causal)),
        device="cpu",
        phases=(TrainingPhase("sft", tuple(demonstration(i, f"A joke about number {i}.") for i in range(4))),),
        settings=FineTuneSettings(epochs=2, batch_size=2, learning_rate=1e-2),
        lora=LoRASettings(r=2),
        seed=1,
        parent=NO_ADAPTER,
        adapters=str(tmp_path),
        version=1,
    )


def train(job: TrainingJob, worker: TrainerWorker | None = None) -> tuple[AdapterRef, TrainingMetrics]:
    result = (worker or TrainerWorker(1)).train(job)
    assert result is not None
    return result


def test_nothing_is_trained_on_weights_that_were_changed(job: TrainingJob) -> None:
    files = student_files(job.student)
    with pytest.raises(StudentChangedError, match=r"those that run RUN1 began with: model.safetensors is another; put"):
        train(replace(job, known=KnownFiles("RUN1", files | {"model.safetensors": "0"})))
    assert replace(job, known=KnownFiles("RUN1", files)).key == job.key, "whose run it is plays no part"


def test_before_the_first_training_there_is_no_progress() -> None:
    progress = TrainerWorker(1).progress()
    assert (progress.step, progress.steps, progress.tokens) == (0, 0, 0)
    assert math.isnan(progress.loss)


def test_a_training_ends_with_its_last_step_and_a_manifest_that_tells_where_it_came_from(job: TrainingJob) -> None:
    import json

    worker = TrainerWorker(1)
    ref, metrics = train(job, worker)
    progress = worker.progress()
    assert (progress.step, progress.steps, progress.tokens) == (4, 4, metrics.tokens)
    assert progress.loss == metrics.curve[-1]["loss"]
    assert progress.phase == "sft"
    manifest = json.loads((verify_adapter(ref) / MANIFEST).read_text())
    assert {key: manifest[key] for key in ("version", "base_model", "parent", "objective")} == {
        "version": 1,
        "base_model": Path(job.student.model).name,
        "parent": 0,
        "objective": "sft",
    }


def test_a_failed_training_leaves_no_progress_of_the_one_before(job: TrainingJob) -> None:
    worker = TrainerWorker(1)
    worker.train(job)
    with pytest.raises(TrainingError, match="no phase has examples"):
        worker.train(replace(job, phases=(TrainingPhase("sft", ()),), version=2))
    assert worker.progress().step == 0


def test_trainings_asked_for_at_once_take_turns(job: TrainingJob, tmp_path: Path) -> None:
    worker = TrainerWorker(1)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda one: train(one, worker), [job, replace(job, version=2)]))
    weights = [verify_adapter(ref) / "adapter_model.safetensors" for ref, _ in done]
    assert [path.parent for path in weights] == [tmp_path / "v000001", tmp_path / "v000002"]
    assert weights[0].read_bytes() == weights[1].read_bytes()  # neither drew from the other's random numbers


class Watching(TrainerWorker):
    """Keeps all the progress it reports."""

    def __init__(self) -> None:
        self.seen: list[TrainingProgress] = []
        super().__init__(1)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_progress":
            assert isinstance(value, TrainingProgress)
            self.seen.append(value)
        super().__setattr__(name, value)


@pytest.fixture
def brio_dpo(job: TrainingJob) -> TrainingJob:
    teachers = tuple(preference(i, f"Sharp {i}.", f"Blunt {i}.", target=f"Sharp {i}.") for i in range(4))
    pairs = tuple(preference(i, f"Good {i}.", f"Bad {i}.") for i in range(2))
    phases = (TrainingPhase("brio", teachers), TrainingPhase("dpo", pairs))
    return replace(job, phases=phases)


def test_phases_follow_one_another_on_one_adapter(brio_dpo: TrainingJob) -> None:
    import json

    worker = Watching()
    ref, metrics = train(brio_dpo, worker)
    told = list(dict.fromkeys((progress.phase, progress.steps) for progress in worker.seen if progress.phase))
    assert told == [("brio", 4), ("reference", 1), ("dpo", 2)]
    assert [(row["phase"], row["step"]) for row in metrics.curve] == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6)]
    assert [row["tokens"] for row in metrics.curve] == sorted(row["tokens"] for row in metrics.curve)
    assert (metrics.steps, metrics.examples, metrics.tokens) == (6, 6, metrics.curve[-1]["tokens"])
    assert metrics.final_loss == metrics.curve[-1]["loss"]
    # The reference of the second phase is what the first one made.
    assert metrics.curve[4]["reward_margin"] == pytest.approx(0.0, abs=1e-5)
    assert json.loads((verify_adapter(ref) / MANIFEST).read_text())["objective"] == "brio-dpo"


def test_a_training_of_phases_is_the_same_when_it_is_done_again(brio_dpo: TrainingJob) -> None:
    (first, metrics), (second, again) = (train(replace(brio_dpo, version=version)) for version in (1, 2))
    assert metrics.curve == again.curve
    assert weights_of(first) == weights_of(second)


def test_a_phase_without_examples_is_passed_over(brio_dpo: TrainingJob) -> None:
    brio, dpo = brio_dpo.phases
    _, alone = train(replace(brio_dpo, phases=(dpo,)))
    _, metrics = train(replace(brio_dpo, phases=(brio._replace(examples=()), dpo), version=2))
    assert [{**row, "phase": 1} for row in metrics.curve] == list(alone.curve)
    assert {row["phase"] for row in metrics.curve} == {2}


def test_facts_of_all_phases_are_told_together(brio_dpo: TrainingJob) -> None:
    settings = brio_dpo.settings.model_copy(update={"holdout_ratio": 0.4, "eval_steps": 1, "patience": 9})
    _, metrics = train(replace(brio_dpo, settings=settings))
    assert metrics.held_out == 2 + 1
    assert metrics.best_step is not None
    best = next(row for row in metrics.curve if row["step"] == metrics.best_step)
    assert best["phase"] == 2
    assert best["holdout_loss"] == metrics.holdout_loss
    facts = metrics.as_json()
    assert "curve" not in facts
    assert facts["best_step"] == metrics.best_step
