"""A training that ended in the middle and is gone on with makes, to the last bit, what it would have made."""

from pathlib import Path
from typing import Any

import pytest

from openmic.training.adapters import adapters
from openmic.training.loop.checkpoints import FILE, checkpoint_uri, remove_checkpoint
from openmic.training.loop.job import TrainingJob, TrainingProgress
from openmic.training.trainer.actor import TrainerWorker

from ..jobs import facts_of, job_of, weights_of


class KilledError(Exception):
    """Stands for the end of the process."""


class Mortal(TrainerWorker):
    """A worker that ends after a step, and notes what it did before."""

    def __init__(self, phase: str = "", step: int = 0) -> None:
        super().__init__(1)
        self.end, self.seen = (phase, step), list[tuple[str, int]]()

    def _report(self, progress: TrainingProgress) -> None:
        self.seen.append((progress.phase, progress.step))
        if self.seen[-1] == self.end:
            raise KilledError


def train(worker: TrainerWorker, job: TrainingJob) -> tuple[bytes, str]:
    result = worker.train(job)
    assert result is not None
    return weights_of(result[0]), facts_of(result[1])


CASES: list[tuple[str, dict[str, Any], str, int, list[tuple[str, int]]]] = [
    ("sft", {}, "sft", 5, [("sft", 5)]),
    ("sft", {"holdout_ratio": 0.3, "eval_steps": 1, "patience": 3, "learning_rate": 0.05}, "sft", 3, [("sft", 3)]),
    ("dpo", {}, "dpo", 1, [("dpo", 1)]),
    ("kto", {"micro_batch_size": 1}, "kto", 9, [("kto", 9)]),
    ("brio-dpo", {}, "brio", 9, [("brio", 9), ("brio", 10), ("reference", 0)]),
    ("brio-dpo", {}, "reference", 1, [("reference", 0)]),
    ("brio-dpo", {"holdout_ratio": 0.3, "eval_steps": 2, "patience": 9}, "dpo", 5, [("dpo", 5)]),
]
"""Objective, settings, after which step it ends, and what is done first afterwards. There is a checkpoint after every
second step, after the reference, and between phases."""


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "changes", "phase", "step", "first"), CASES)
def test_it_goes_on_from_the_last_checkpoint(
    tiny_causal: Path,
    tmp_path: Path,
    objective: str,
    changes: dict[str, Any],
    phase: str,
    step: int,
    first: list[tuple[str, int]],
) -> None:
    job = job_of(tiny_causal, tmp_path / "a", objective, **changes)
    with pytest.raises(KilledError):
        train(Mortal(phase, step), job)
    assert adapters.committed_adapter(job.adapters, 1) is None
    after = Mortal()
    resumed = train(after, job)
    assert after.seen[: len(first)] == first
    undisturbed = train(Mortal(), job_of(tiny_causal, tmp_path / "b", objective, **changes))
    assert resumed == undisturbed


@pytest.mark.parametrize("save_steps", [2, None])
def test_what_ended_after_its_commit_is_not_done_again(
    tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_steps: int | None
) -> None:
    def killed_after(*given: Any, **named: Any) -> Any:
        commit(*given, **named)
        raise KilledError

    job, commit = job_of(tiny_causal, tmp_path, save_steps=save_steps), adapters.commit_adapter
    with monkeypatch.context() as patch:
        patch.setattr(adapters, "commit_adapter", killed_after)
        with pytest.raises(KilledError):
            train(Mortal(), job)
    assert adapters.committed_adapter(job.adapters, 1) is not None
    remove_checkpoint(job.adapters, 1)
    after = Mortal()
    resumed = train(after, job)
    assert after.seen == []
    assert resumed == train(Mortal(), job_of(tiny_causal, tmp_path / "again", save_steps=save_steps))


def test_without_checkpoints_it_begins_anew(tiny_causal: Path, tmp_path: Path) -> None:
    job = job_of(tiny_causal, tmp_path, "dpo", save_steps=None)
    with pytest.raises(KilledError):
        train(Mortal("dpo", 9), job)
    assert list(tmp_path.iterdir()) == []
    after = Mortal()
    train(after, job)
    assert after.seen[0] == ("reference", 0)


def test_a_broken_checkpoint_is_begun_anew(tiny_causal: Path, tmp_path: Path) -> None:
    job = job_of(tiny_causal, tmp_path)
    with pytest.raises(KilledError):
        train(Mortal("sft", 9), job)
    file = Path(checkpoint_uri(job.adapters, 1), FILE)
    file.write_bytes(file.read_bytes()[:-1])
    after = Mortal()
    train(after, job)
    assert after.seen[0] == ("sft", 1)
