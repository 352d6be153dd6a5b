import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.core.config import FineTuneSettings, LoRASettings
from openmic.core.errors import TrainingError
from openmic.core.records import NO_ADAPTER
from openmic.training.adapters import MANIFEST, verify_adapter
from openmic.training.trainer_actor import TrainerWorker, TrainingJob

from .asking import demonstration


@pytest.fixture
def job(tiny_causal: Path, tmp_path: Path) -> TrainingJob:
    return TrainingJob(
        student=str(tiny_causal),
        device="cpu",
        examples=tuple(demonstration(i, f"A joke about number {i}.") for i in range(4)),
        objective="sft",
        settings=FineTuneSettings(epochs=2, batch_size=2, learning_rate=1e-2),
        lora=LoRASettings(r=2),
        seed=1,
        parent=NO_ADAPTER,
        adapters=str(tmp_path),
        version=1,
    )


def test_before_the_first_training_there_is_no_progress() -> None:
    progress = TrainerWorker(1).progress()
    assert (progress.step, progress.steps, progress.tokens) == (0, 0, 0)
    assert math.isnan(progress.loss)


def test_a_training_ends_with_its_last_step_and_a_manifest_that_tells_where_it_came_from(job: TrainingJob) -> None:
    import json

    worker = TrainerWorker(1)
    ref, metrics = worker.train(job)
    progress = worker.progress()
    assert (progress.step, progress.steps, progress.tokens) == (4, 4, metrics.tokens)
    assert progress.loss == metrics.curve[-1]["loss"]
    manifest = json.loads((verify_adapter(ref) / MANIFEST).read_text())
    assert {key: manifest[key] for key in ("version", "base_model", "parent", "objective")} == {
        "version": 1,
        "base_model": job.student,
        "parent": 0,
        "objective": "sft",
    }


def test_a_failed_training_leaves_no_progress_of_the_one_before(job: TrainingJob) -> None:
    worker = TrainerWorker(1)
    worker.train(job)
    with pytest.raises(TrainingError):
        worker.train(replace(job, examples=(), version=2))
    assert worker.progress().step == 0


def test_trainings_asked_for_at_once_take_turns(job: TrainingJob, tmp_path: Path) -> None:
    worker = TrainerWorker(1)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(worker.train, [job, replace(job, version=2)]))
    weights = [verify_adapter(ref) / "adapter_model.safetensors" for ref, _ in done]
    assert [path.parent for path in weights] == [tmp_path / "v000001", tmp_path / "v000002"]
    assert weights[0].read_bytes() == weights[1].read_bytes()  # neither drew from the other's random numbers
