"""What cannot be sent to the trainer's process ends a training in one line, and not in Ray's traceback."""

import threading
from types import SimpleNamespace

import pytest
from ray import cloudpickle

from openmic.core.errors import TrainingError
from openmic.core.records import NO_ADAPTER
from openmic.core.student_settings import StudentWeights
from openmic.core.training_settings import FineTuneSettings, LoRASettings, TrainingSettings
from openmic.training.loop.job import TrainingJob, TrainingPhase
from openmic.training.trainer.trainer import Trainer


class OnlyPickling(Trainer):
    """Its worker pickles what it is sent, as Ray does, and nothing else."""

    def _start(self) -> None:
        self._workers = [SimpleNamespace(train=SimpleNamespace(remote=lambda *sent: cloudpickle.dumps(sent)))]

    def _end(self) -> None:
        self._workers = []


def test_a_job_that_cannot_be_pickled_says_what_stands_in_the_way() -> None:
    phase = TrainingPhase("mine:Own", (), None, threading.Lock())
    job = TrainingJob(
        StudentWeights(), "cpu", (phase,), FineTuneSettings(), LoRASettings(), 1, NO_ADAPTER, "adapters", 3
    )
    with pytest.raises(TrainingError, match=r"version 3 cannot be sent .*cannot pickle '_thread\.lock' object"):
        OnlyPickling(TrainingSettings())._sent(job, None)
