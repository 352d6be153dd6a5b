"""What the nodes of both graphs work with: a run's configuration, agents, student, trainer and store."""

from dataclasses import dataclass
from pathlib import Path

from ...agents.cast import Critic, Judge, StudentAgent, Teacher
from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.records import NO_ADAPTER, AdapterRef, Example, Generation, GenerationRequest, Split
from ...store import Adapter, Run, Store
from ...training.adapters.storage import joined
from ...training.pool.pool import StudentPool
from ...training.trainer.trainer import Trainer
from .progress import Progress
from .reply_cache import ReplyCache
from .train_gate import TrainGate


@dataclass(slots=True, kw_only=True)
class TrainingContext:
    """What fine-tuning works with: a run, its store and a trainer. The driver alone writes to the store."""

    config: RunConfig
    run: Run
    task: Task
    examples: list[Example]
    store: Store
    student: StudentAgent
    trainer: Trainer
    progress: Progress
    origin: str
    """The run whose dialogues and demonstrations there are: this one, or the campaign it goes back to."""

    @property
    def folder(self) -> Path:
        """The run's own files: adapters and logs."""
        return Path(self.run.home)

    @property
    def adapters_root(self) -> str:
        """Where the run's adapters are committed: a folder, or an address of remote storage."""
        storage = self.config.storage_uri
        return str(self.folder / "adapters") if storage is None else joined(storage, self.run.id, "adapters")

    def split(self, split: Split) -> list[Example]:
        """The run's inputs of one split, in the file's order."""
        return [example for example in self.examples if example.split is split]

    def adapter(self, version: int) -> AdapterRef:
        """Where a version of this run lies."""
        if version == 0:
            return NO_ADAPTER
        [row] = self.store.select(Adapter, run_id=self.run.id, version=version)
        return AdapterRef(version, row.uri, row.sha256)


@dataclass(slots=True, kw_only=True)
class RunContext(TrainingContext):
    """One campaign, open and ready to work. Built by `graph.runs.start`."""

    llm: ReplyCache
    teacher: Teacher
    critic: Critic
    judge: Judge
    pool: StudentPool
    train_gate: TrainGate

    def evaluation_inputs(self, split: Split) -> list[Example]:
        """The held-out inputs that evaluations of this run look at."""
        settings = self.config.evaluation
        limit = settings.dev_inputs if split is Split.DEV else settings.test_inputs
        return self.split(split)[:limit]

    async def generate(self, request: GenerationRequest) -> Generation:
        """The student's answer; waits while the trainer has its turn.

        Raises:
            GenerationError: the student could not answer.
        """
        async with self.train_gate.generating():
            return await self.pool.generate(request)
