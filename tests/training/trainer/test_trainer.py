import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from openmic.core.errors import AdapterError, StudentError, TrainingError
from openmic.core.records import NO_ADAPTER, AdapterRef, TrainingExample
from openmic.core.student_settings import StudentWeights
from openmic.core.training_settings import FineTuneSettings, LoRASettings, TrainingSettings
from openmic.training.adapters.adapters import committed_adapter, verify_adapter
from openmic.training.loop.job import TrainingJob, TrainingPhase, TrainingProgress
from openmic.training.objectives import Loss, ObjectiveSettings, RowLogprobs
from openmic.training.trainer import trainer as trainer_module
from openmic.training.trainer.trainer import Trainer

from ..factories import demonstration, preference
from ..jobs import PHASES, facts_of, job_of, weights_of
from ..objectives.own_objectives import Margin

pytestmark = pytest.mark.usefixtures("ray_running")
ENDLESS = FineTuneSettings(epochs=100_000, batch_size=2)
EXAMPLES = tuple(demonstration(i, f"A joke about number {i}.") for i in range(4))


class Shared:
    """A trainer that tests share, since a process takes seconds to start; anew after `forget`."""

    def __init__(self) -> None:
        self._trainer: Trainer | None = None

    def get(self) -> Trainer:
        self._trainer = self._trainer or Trainer(TrainingSettings(threads=1))
        return self._trainer

    def forget(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
        self._trainer = None


@pytest.fixture(scope="module")
def shared(ray_running: None) -> Iterator[Shared]:
    one = Shared()
    yield one
    one.forget()


@pytest.fixture
def trainer(shared: Shared) -> Trainer:
    return shared.get()


def pid_of(trainer: Trainer) -> int:
    """The process id of the trainer's one worker."""
    import ray

    return int(ray.get(trainer._workers[0].__ray_call__.remote(lambda _: os.getpid())))


def job(
    folder: Path,
    root: Path,
    version: int,
    examples: Sequence[TrainingExample] = EXAMPLES,
    objective: str = "sft",
    **changes: Any,
) -> TrainingJob:
    usual: dict[str, Any] = {
        "student": StudentWeights(model=str(folder)),
        "device": "cpu",
        "phases": (TrainingPhase(objective, tuple(examples)),),
        "settings": FineTuneSettings(epochs=2, batch_size=2, learning_rate=1e-2),
        "lora": LoRASettings(r=2),
        "seed": 1,
        "parent": NO_ADAPTER,
        "adapters": str(root),
        "version": version,
    }
    return TrainingJob(**(usual | changes))


def test_a_training_reports_its_progress_and_commits_an_adapter(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)
    seen: list[TrainingProgress] = []
    settings = FineTuneSettings(epochs=40, batch_size=2, learning_rate=1e-2)
    ref, metrics = asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1, settings=settings), seen.append))
    assert verify_adapter(ref) == tmp_path / "v000001"
    assert (metrics.steps, metrics.examples) == (80, 4)
    assert metrics.final_loss < metrics.curve[0]["loss"]
    steps = [progress.step for progress in seen]
    assert steps == sorted(steps)
    within = [progress for progress in seen if progress.step > 0]
    assert within
    assert {progress.steps for progress in within} == {80}
    assert all(progress.loss > 0 and progress.tokens > 0 for progress in within)


def test_trainings_follow_one_another(trainer: Trainer, tiny_causal: Path, tmp_path: Path) -> None:
    pairs = [preference(i, f"A joke about number {i}.", "It was dull.") for i in range(4)]
    first, _ = asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1)))
    second, metrics = asyncio.run(
        trainer.train(job(tiny_causal, tmp_path, 2, pairs, objective="dpo", parent=first, lora=LoRASettings(r=7)))
    )
    again, _ = asyncio.run(trainer.train(job(tiny_causal, tmp_path / "again", 1)))
    weights = [Path(str(ref.uri), "adapter_model.safetensors").read_bytes() for ref in (first, second, again)]
    assert weights[0] == weights[2]  # the same job makes the same adapter, whatever was trained in between
    assert weights[0] != weights[1]
    assert len(weights[0]) == len(weights[1])  # the parent's shape
    assert metrics.curve[0]["reward_margin"] == pytest.approx(0.0, abs=1e-5)
    assert verify_adapter(second) == tmp_path / "v000002"


def test_training_errors_come_through_as_they_were_raised(trainer: Trainer, tiny_causal: Path, tmp_path: Path) -> None:
    def train(**changes: Any) -> AdapterRef:
        values: dict[str, Any] = {"folder": tiny_causal, "root": tmp_path, "version": 1} | changes
        return asyncio.run(trainer.train(job(**values)))[0]

    with pytest.raises(TrainingError, match="nothing to train on"):
        train(examples=())
    with pytest.raises(StudentError, match="is not a folder"):
        train(folder=tmp_path / "nowhere")
    with pytest.raises(AdapterError, match="holds no committed adapter"):
        train(parent=AdapterRef(3, str(tmp_path / "v000003"), "abc"))
    assert list(tmp_path.iterdir()) == []
    ref = train()
    with pytest.raises(AdapterError, match="v000001 holds an adapter of another training"):
        train(seed=2)
    assert verify_adapter(ref)


def test_a_training_that_is_cancelled_ends_and_commits_nothing(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)
    process = pid_of(trainer)

    async def scenario() -> None:
        begun = asyncio.Event()

        def begin(progress: TrainingProgress) -> None:
            if progress.step:
                begun.set()

        training = asyncio.ensure_future(trainer.train(job(tiny_causal, tmp_path, 1, settings=ENDLESS), begin))
        await asyncio.wait_for(begun.wait(), 60)
        training.cancel()
        with pytest.raises(asyncio.CancelledError):
            await training

    asyncio.run(scenario())
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process).wait(30)
    assert committed_adapter(tmp_path, 1) is None
    ref, _ = asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1)))
    assert pid_of(trainer) != process
    assert [path.name for path in tmp_path.iterdir()] == [Path(str(ref.uri)).name]


def test_a_trainer_that_is_closed_trains_no_more(
    trainer: Trainer, shared: Shared, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)

    def end(progress: TrainingProgress) -> None:
        if progress.step:
            trainer.close()

    try:
        with pytest.raises(TrainingError, match="the trainer is closed"):
            asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1, settings=ENDLESS), end))
    finally:
        shared.forget()
    assert committed_adapter(tmp_path, 1) is None


def test_a_training_whose_process_is_killed_makes_what_it_would_have_made(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = "brio-dpo"  # of two phases, so that it goes on from a checkpoint of the second
    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)
    phase = PHASES[objective][-1].objective
    seen: list[int] = []
    killed: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if killed and progress.step:
            seen.append(progress.step)
        if progress.phase == phase and progress.step >= 10 and not killed:
            os.kill(process, signal.SIGKILL)
            killed.append(progress.step)

    changes: dict[str, Any] = {"epochs": 60, "save_steps": 4}
    undisturbed = asyncio.run(trainer.train(job_of(tiny_causal, tmp_path / "a", objective, **changes)))
    process = pid_of(trainer)
    ref, metrics = asyncio.run(trainer.train(job_of(tiny_causal, tmp_path / "b", objective, **changes), kill))
    assert killed[0] < undisturbed[1].curve[-1]["step"]
    assert pid_of(trainer) != process
    assert min(seen, default=9) > 8  # the checkpoint after step 8 was there
    assert weights_of(ref) == weights_of(undisturbed[0])
    assert facts_of(metrics) == facts_of(undisturbed[1])
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["v000001"]


def test_a_training_that_loses_process_after_process_is_given_up(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)
    monkeypatch.setattr(trainer_module, "TRIES", 2)
    killed = set[int]()

    def kill(progress: TrainingProgress) -> None:
        process = pid_of(trainer)
        if progress.step and process not in killed:
            killed.add(process)
            os.kill(process, signal.SIGKILL)

    with pytest.raises(TrainingError, match="lost its process 2 times, at last because the actor's process ended"):
        asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1, settings=ENDLESS), kill))
    assert len(killed) == 2
    assert committed_adapter(tmp_path, 1) is None


def test_objectives_of_one_s_own_reach_the_trainer_by_name_and_by_value(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path
) -> None:
    class Here(Margin):
        """As in a notebook: no other process can import it."""

        def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
            loss, metrics = super().__call__(rows, settings)
            return Loss(loss, {**metrics, "here": 1.0})

    examples = tuple(preference(i, "Sharp.", "It is what it is.") for i in range(4))
    phases = (
        TrainingPhase(f"{Margin.__module__}:Margin", examples, {"margin": 3.0}),
        TrainingPhase("__main__:Here", examples, given=Here),
    )
    _, metrics = asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1, phases=phases)))
    assert {row["phase"] for row in metrics.curve if "lead" in row} == {1, 2}
    assert {row["phase"] for row in metrics.curve if "here" in row} == {2}
    given: list[dict[str, Any] | None] = [{}, None]
    by_kwargs = [job(tiny_causal, tmp_path, 1, phases=(phases[0]._replace(kwargs=each),)).key for each in given]
    assert by_kwargs[0] == by_kwargs[1] != job(tiny_causal, tmp_path, 1, phases=phases[:1]).key
