"""Several processes that train together make what one makes alone."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.errors import TrainingError
from openmic.core.records import AdapterRef
from openmic.core.training_settings import LoRASettings, TrainingSettings
from openmic.training.adapters.adapters import verify_adapter
from openmic.training.loop.job import TrainingProgress
from openmic.training.loop.process_group import SINGLE, ProcessGroup
from openmic.training.trainer import trainer as trainer_module
from openmic.training.trainer.actor import TrainerWorker
from openmic.training.trainer.trainer import Trainer, trainer_cpus

from ..jobs import facts_of, job_of, weights_of


@pytest.fixture(scope="module")
def pair(ray_running: None) -> Iterator[Trainer]:
    """Two processes; they take no CPU from Ray's count, for other tests hold some."""
    trainer = Trainer(TrainingSettings(threads=1, workers=2, cpus_per_worker=0))
    yield trainer
    trainer.close()


def weights(ref: AdapterRef) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(verify_adapter(ref) / "adapter_model.safetensors")


def both(pair: Trainer, student: Path, folder: Path, objective: str, **changes: Any) -> tuple[Any, Any]:
    """The same job by two processes and by one."""
    settings = {"lora": LoRASettings(r=2), "batch_size": 3, "epochs": 3} | changes
    together = asyncio.run(pair.train(job_of(student, folder / "two", objective, **settings)))
    alone = TrainerWorker(1).train(job_of(student, folder / "one", objective, **settings))
    return together, alone


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ("sft", {"holdout_ratio": 0.3, "eval_steps": 1}),
        ("sft", {"batch_size": 4, "epochs": 1.0}),
        ("dpo", {"batch_size": 5, "micro_batch_size": 1}),
        ("kto", {}),
    ],
    ids=["sft with a hold-out", "a batch of one example", "parts of parts", "mismatched rows"],
)
def test_two_make_what_one_makes(
    pair: Trainer, tiny_causal: Path, tmp_path: Path, objective: str, changes: dict[str, Any]
) -> None:
    (together, metrics), (alone, expected) = both(pair, tiny_causal, tmp_path, objective, **changes)
    assert (metrics.steps, metrics.tokens, metrics.held_out, metrics.best_step) == (
        expected.steps,
        expected.tokens,
        expected.held_out,
        expected.best_step,
    )
    for mine, theirs in zip(metrics.curve, expected.curve, strict=True):
        # At its start a model prefers neither text, but for rounding.
        assert {**mine, "reward_accuracy": 0.0} == pytest.approx({**theirs, "reward_accuracy": 0.0}, abs=1e-5)
    for name, value in weights(alone).items():
        assert torch.allclose(weights(together)[name], value, atol=1e-5, rtol=0), name
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["v000001"]


def test_stopping_early_is_agreed_upon(pair: Trainer, tiny_causal: Path, tmp_path: Path) -> None:
    changes = {"holdout_ratio": 0.3, "eval_steps": 2, "patience": 1, "learning_rate": 0.05, "epochs": 60}
    (_, metrics), (_, expected) = both(pair, tiny_causal, tmp_path, "sft", **changes)
    assert metrics.stopped_early
    assert (metrics.steps, metrics.best_step) == (expected.steps, expected.best_step)


def test_when_one_dies_the_training_goes_on_from_the_checkpoint(
    pair: Trainer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(trainer_module, "PROGRESS_SECONDS", 0.02)
    settings: dict[str, Any] = {"epochs": 24, "save_steps": 3}
    expected = asyncio.run(pair.train(job_of(tiny_causal, tmp_path / "a", "dpo", **settings)))
    second = ray.get(pair._workers[1].__ray_call__.remote(lambda _: os.getpid()))
    first = ray.get(pair._workers[0].__ray_call__.remote(lambda _: os.getpid()))

    def watch(progress: TrainingProgress) -> None:
        if progress.phase == "dpo" and progress.step >= 6 and not killed:
            os.kill(second, signal.SIGKILL)
            killed.append(progress.step)

    killed: list[int] = []
    ref, metrics = asyncio.run(pair.train(job_of(tiny_causal, tmp_path / "b", "dpo", **settings), watch))
    assert killed
    assert killed[0] < metrics.steps
    assert weights_of(ref) == weights_of(expected[0])
    assert facts_of(metrics) == facts_of(expected[1])
    pids = [ray.get(worker.__ray_call__.remote(lambda _: os.getpid())) for worker in pair._workers]
    assert not {first, second} & set(pids)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["v000001"]


def test_an_error_of_the_training_is_no_lost_process(pair: Trainer, tiny_causal: Path, tmp_path: Path) -> None:
    job = job_of(tiny_causal, tmp_path, learning_rate=1e30, warmup_ratio=0.0, epochs=20)
    with pytest.raises(TrainingError, match="the sft loss became nan"):
        asyncio.run(pair.train(job))
    assert facts_of(asyncio.run(pair.train(job_of(tiny_causal, tmp_path / "after")))[1])


def test_shares_are_neighbours_and_make_up_the_whole() -> None:
    for length in range(8):
        items = list(range(length))
        shares = [list(ProcessGroup(number, 3).share(items)) for number in range(3)]
        assert [item for share in shares for item in share] == items
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert SINGLE.share(items) is items


def test_the_cpus_of_all_workers() -> None:
    assert trainer_cpus(TrainingSettings(workers=3, cpus_per_worker=1.5)) == 5


def test_on_one_machine_nobody_outside_can_reach_the_workers(pair: Trainer) -> None:
    import psutil
    import ray

    def listening(worker: Any) -> set[str]:
        worker.open_rendezvous()
        found = psutil.Process().net_connections("inet")
        return {one.laddr.ip.removeprefix("::ffff:") for one in found if one.status == psutil.CONN_LISTEN}

    assert ray.get(pair._workers[0].__ray_call__.remote(listening)) <= {"127.0.0.1", "::1"}
