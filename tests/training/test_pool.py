import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import FineTuneSettings, LoRASettings, StudentSettings
from openmic.core.errors import AdapterError, GenerationError, StudentError, TrainingError
from openmic.core.records import NO_ADAPTER, AdapterRef, TrainingExample
from openmic.training import pool as pool_module
from openmic.training.adapters import commit_adapter, verify_adapter
from openmic.training.job import TrainingJob, TrainingPhase, TrainingProgress
from openmic.training.pool import StudentPool, Trainer
from openmic.training.static_engine import StaticEngine

from .asking import TEXTS, demonstration, preference, request
from .conftest import BuildStudent, random_adapter

pytestmark = pytest.mark.usefixtures("ray_running")
ENDLESS = FineTuneSettings(epochs=100_000, batch_size=2)
EXAMPLES = tuple(demonstration(i, f"A joke about number {i}.") for i in range(4))


def settings_of(folder: Path, **changes: Any) -> StudentSettings:
    return StudentSettings(model=str(folder), device="cpu", max_batch=8, **changes)


class Actors:
    """A student and a trainer that tests share, since a process takes seconds to start; anew after `forget`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool: StudentPool | None = None
        self._trainer: Trainer | None = None

    def pool(self) -> StudentPool:
        self._pool = self._pool or StudentPool(settings_of(self._folder), threads=1)
        return self._pool

    def trainer(self) -> Trainer:
        self._trainer = self._trainer or Trainer(threads=1)
        return self._trainer

    def forget(self) -> None:
        for actor in (self._pool, self._trainer):
            if actor is not None:
                actor.close()
        self._pool = self._trainer = None


@pytest.fixture(scope="module")
def actors(tiny_causal: Path, ray_running: None) -> Iterator[Actors]:
    made = Actors(tiny_causal)
    yield made
    made.forget()


@pytest.fixture
def pool(actors: Actors) -> StudentPool:
    """A student that answers with its base model."""
    one = actors.pool()
    asyncio.run(one.load_adapter(NO_ADAPTER))
    return one


@pytest.fixture
def trainer(actors: Actors) -> Trainer:
    return actors.trainer()


def job(
    folder: Path,
    root: Path,
    version: int,
    examples: Sequence[TrainingExample] = EXAMPLES,
    objective: str = "sft",
    **changes: Any,
) -> TrainingJob:
    usual: dict[str, Any] = {
        "student": str(folder),
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


def test_callers_at_once_get_what_each_would_get_alone(pool: StudentPool, student: BuildStudent) -> None:
    asked = [request(TEXTS[i % 4], seed=i, max_tokens=5 + i, id=f"r{i}") for i in range(20)]
    expected = StaticEngine(student("llama"), max_batch=1).generate(asked)

    async def scenario() -> None:
        found = await asyncio.gather(*(pool.generate(each) for each in asked))
        assert [generation.request_id for generation in found] == [each.id for each in asked]
        assert [generation.token_ids for generation in found] == [each.token_ids for each in expected]
        assert len({generation.worker for generation in found} - {f"pid-{os.getpid()}"}) == 1
        assert all(generation.queue_ms >= 0 for generation in found)

    asyncio.run(scenario())


def test_an_adapter_is_loaded_while_others_generate(
    pool: StudentPool, student: BuildStudent, adapters: list[AdapterRef]
) -> None:
    asked = [request(TEXTS[i % 4], seed=i, max_tokens=20) for i in range(40)]
    engine = StaticEngine(student("llama"), max_batch=8)
    expected = {0: engine.generate(asked)}
    engine.load_adapter(adapters[0])
    expected[1] = engine.generate(asked)

    async def scenario() -> None:
        assert await pool.ready() == 0
        running = [asyncio.ensure_future(pool.generate(each)) for each in asked]
        await running[0]
        await pool.load_adapter(adapters[0])
        assert await pool.ready() == 1
        after = await pool.generate(request())
        found = await asyncio.gather(*running)
        assert after.adapter_version == 1
        assert found[0].adapter_version == 0
        for i, generation in enumerate(found):
            assert generation.token_ids == expected[generation.adapter_version][i].token_ids

    asyncio.run(scenario())


def test_errors_come_through_as_they_were_raised_and_the_student_goes_on(
    pool: StudentPool, student: BuildStudent, adapters: list[AdapterRef], misfit: AdapterRef, tmp_path: Path
) -> None:
    altered = commit_adapter(random_adapter(student("llama").model, "causal", seed=5), tmp_path, 5, {"parent": 0})
    Path(str(altered.uri), "adapter_model.safetensors").write_bytes(b"")

    async def scenario() -> None:
        await pool.load_adapter(adapters[0])
        with pytest.raises(AdapterError, match="was altered"):
            await pool.load_adapter(altered)
        with pytest.raises(AdapterError, match="adapter version 9 does not load"):
            await pool.load_adapter(misfit)
        with pytest.raises(GenerationError, match="adapter version 7 is not loaded"):
            await pool.generate(request(adapter=7))
        assert await pool.ready() == 1
        assert (await pool.generate(request())).adapter_version == 1

    asyncio.run(scenario())


def test_one_request_that_cannot_be_answered_does_not_fail_its_neighbours(pool: StudentPool) -> None:
    asked = [request(seed=i, adapter=7 if i == 2 else None, id=f"r{i}") for i in range(5)]

    async def scenario() -> None:
        found = await asyncio.gather(*(pool.generate(each) for each in asked), return_exceptions=True)
        assert isinstance(found[2], GenerationError)
        assert [getattr(each, "request_id", None) for each in found] == ["r0", "r1", None, "r3", "r4"]

    asyncio.run(scenario())


def test_a_caller_that_gives_up_does_not_disturb_the_others(pool: StudentPool) -> None:
    async def scenario() -> None:
        running = [asyncio.ensure_future(pool.generate(request(seed=i, max_tokens=30))) for i in range(6)]
        await asyncio.sleep(0)
        running[3].cancel()
        found = await asyncio.gather(*running, return_exceptions=True)
        assert isinstance(found[3], asyncio.CancelledError)
        assert sum(not isinstance(each, BaseException) for each in found) == 5
        assert (await pool.generate(request())).adapter_version == 0

    asyncio.run(scenario())


def test_a_student_begins_with_the_adapters_it_is_given_and_answers_until_it_is_closed(
    tiny_causal: Path, adapters: list[AdapterRef]
) -> None:
    async def scenario() -> None:
        pool = StudentPool(settings_of(tiny_causal), threads=1, adapters=adapters[:2])
        assert await pool.ready() == 2
        asked = (request(seed=3, adapter=version) for version in (0, 1, 2, None))
        found = await asyncio.gather(*(pool.generate(each) for each in asked))
        assert [generation.adapter_version for generation in found] == [0, 1, 2, 2]
        assert len({generation.token_ids for generation in found}) == 3
        pool.close()
        with pytest.raises(GenerationError, match="process ended"):
            await pool.generate(request())

    asyncio.run(scenario())


def test_a_student_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        pool = StudentPool(settings_of(tmp_path / "nowhere"), threads=1)
        with pytest.raises(GenerationError, match=r"nowhere.* is not a folder"):
            await pool.ready()

    asyncio.run(scenario())


def test_a_student_whose_process_dies_is_a_generation_error(pool: StudentPool, actors: Actors) -> None:
    async def scenario() -> None:
        pid = int((await pool.generate(request())).worker.removeprefix("pid-"))
        running = [asyncio.ensure_future(pool.generate(request(seed=i, max_tokens=900))) for i in range(20)]
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        for lost in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(lost, GenerationError)
            assert "process ended" in str(lost)
        with pytest.raises(GenerationError, match="process ended"):
            await pool.generate(request())

    try:
        asyncio.run(scenario())
    finally:
        actors.forget()


def test_a_training_reports_its_progress_and_commits_an_adapter(
    trainer: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PROGRESS_SECONDS", 0.02)
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
        return asyncio.run(trainer.train(job(**({"folder": tiny_causal, "root": tmp_path, "version": 1} | changes))))[0]

    with pytest.raises(TrainingError, match="nothing to train on"):
        train(examples=())
    with pytest.raises(StudentError, match="is not a folder"):
        train(folder=tmp_path / "nowhere")
    with pytest.raises(AdapterError, match="holds no committed adapter"):
        train(parent=AdapterRef(3, str(tmp_path / "v000003"), "abc"))
    assert list(tmp_path.iterdir()) == []
    ref = train()
    with pytest.raises(AdapterError, match="version 1 is already committed"):
        train(seed=2)
    assert verify_adapter(ref)


def test_a_training_that_is_cancelled_ends_and_commits_nothing(
    trainer: Trainer, actors: Actors, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PROGRESS_SECONDS", 0.02)

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
        with pytest.raises(TrainingError, match="process ended"):
            await trainer.train(job(tiny_causal, tmp_path, 1))

    try:
        asyncio.run(scenario())
    finally:
        actors.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_trainer_whose_process_ends_is_a_training_error(
    trainer: Trainer, actors: Actors, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PROGRESS_SECONDS", 0.02)

    def end(progress: TrainingProgress) -> None:
        if progress.step:
            trainer.close()

    try:
        with pytest.raises(TrainingError, match="process ended"):
            asyncio.run(trainer.train(job(tiny_causal, tmp_path, 1, settings=ENDLESS), end))
    finally:
        actors.forget()
    assert list(tmp_path.iterdir()) == []
