"""What all of a run works with: its configuration, inputs, store, agents, student and trainer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Required, TypedDict

from ...agents.cast import Critic, StudentAgent, Teacher
from ...agents.draft_logprobs import DraftLogprobs
from ...agents.tasks.task import Task
from ...agents.verdicts.jury import Jury
from ...core.config import RunConfig
from ...core.records import NO_ADAPTER, AdapterRef, Example, Generation, GenerationRequest, Message, Split
from ...store import Adapter, Dialogue, Run, Store
from ...store.liveness import run_folder
from ...training.adapters.storage import join_uri
from ...training.pool.pool import StudentPool
from ...training.trainer.trainer import Trainer
from .budget import Allowance
from .cast import Cast
from .plugs import Plugs
from .progress import Progress
from .replies.reply_cache import Late, ReplyCache
from .reuse import Reuse
from .train_gate import TrainGate, room_for_both

if TYPE_CHECKING:  # torch takes seconds to import
    from ...training.student.student import LoadedStudent

Drain = Callable[[], Awaitable[Late]]
"""Sends nothing more, and waits for what was sent; tells what came to nothing."""


class Holder(Protocol):
    """Whoever holds dialogues in the driver's place."""

    async def hold(self, dialogue: Dialogue, version: int, overused: Sequence[str], *, new: bool) -> None:
        """Hold one dialogue to its end, as `graph.rollout.holding.hold` does."""
        ...

    @property
    def news(self) -> str:
        """What is amiss with it; empty where all is well."""
        ...


AskStudent = Callable[[GenerationRequest], Awaitable[Generation]]


class OwnParts(TypedDict, total=False):
    """What of a context the driver has in another way than a worker."""

    start_pool: Required[Callable[[], StudentPool]]
    start_trainer: Required[Callable[[], Trainer]]
    ask_student: AskStudent


@dataclass(kw_only=True)
class RunContext:
    """One run, open and ready to work; `graph.context.opening` makes it. The driver writes to the store.

    Agents are there for the roles that the run was opened with. The student's actors and the trainer start when they
    are first used.
    """

    config: RunConfig
    run: Run
    task: Task
    examples: list[Example]
    """The inputs of the campaign, in its order."""
    store: Store
    plugs: Plugs
    cast: Cast
    progress: Progress
    llm: ReplyCache
    """Asks the large models."""
    campaign: str
    """The id of the run whose dialogues and demonstrations there are: this one, or the campaign it goes back to."""
    reuse: Reuse | None = None
    """The earlier run that replies, texts and adapters are taken over from, where there is one."""
    start_pool: Callable[[], StudentPool]
    """Starts the student's actors, and sees to it that they are ended with the run."""
    start_trainer: Callable[[], Trainer]
    """Likewise the trainer."""
    budget: Allowance
    simulated_url: str | None = None
    """Where the simulated cast answers, where there is one."""
    drains: list[Drain] = field(default_factory=list)
    """What an end of the run waits for, all at once."""
    holder: Holder | None = None
    """Whoever holds the dialogues; None: the driver itself."""
    ask_student: AskStudent | None = None
    """Asks the student where another process has its actors; None: they are asked from here."""

    @cached_property
    def pool(self) -> StudentPool:
        """The student's actors."""
        return self.start_pool()

    @cached_property
    def trainer(self) -> Trainer:
        """The trainer."""
        return self.start_trainer()

    @cached_property
    def train_gate(self) -> TrainGate:
        """Whether students wait while the trainer trains. Needs Ray running where that is to be found out."""
        return TrainGate(overlapped=room_for_both(self.config))

    @cached_property
    def student(self) -> StudentAgent:
        """Makes requests to the student."""
        return StudentAgent(self.task, self.config.seed)

    @property
    def teacher(self) -> Teacher:
        """Whoever demonstrates."""
        assert self.cast.teacher is not None
        return self.cast.teacher

    @property
    def references(self) -> Teacher:
        """Whoever writes held-out references."""
        assert self.cast.references is not None
        return self.cast.references

    @property
    def critic(self) -> Critic:
        """Whoever compares and criticises during training."""
        assert self.cast.critic is not None
        return self.cast.critic

    @property
    def judge(self) -> Jury:
        """Whoever compares for evaluation alone."""
        assert self.cast.judge is not None
        return self.cast.judge

    @property
    def draft_logprobs(self) -> DraftLogprobs:
        """Whoever says how likely the teacher finds a draft."""
        assert self.cast.draft_logprobs is not None
        return self.cast.draft_logprobs

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation that waits for the student, as its engine has them."""
        from ...training.student.tokenization import render_prompt

        return render_prompt(self.student_tokens, messages)

    @cached_property
    def student_tokens(self) -> "LoadedStudent":
        """The student's tokenizer, and how many places it knows, without its weights."""
        from ...training.student.fingerprint import KnownFiles
        from ...training.student.student import student_elsewhere

        student = self.config.student
        KnownFiles(self.run.id, self.run.student_files).check(student)
        return student_elsewhere(student, student.chat_template_kwargs)

    @property
    def folder(self) -> Path:
        """The run's own files: adapters and logs."""
        return run_folder(self.store, self.run)

    @property
    def adapters_root(self) -> str:
        """Where the run's adapters are committed: a folder, or an address of remote storage."""
        storage = self.config.storage_uri
        return str(self.folder / "adapters") if storage is None else join_uri(storage, self.run.id, "adapters")

    def example(self, identity: str) -> Example:
        """The input of this id."""
        return self._by_id[identity]

    @cached_property
    def _by_id(self) -> dict[str, Example]:
        return {example.id: example for example in self.examples}

    def split(self, split: Split) -> list[Example]:
        """The run's inputs of one split, in the file's order."""
        return [example for example in self.examples if example.split is split]

    def evaluation_inputs(self, split: Split) -> list[Example]:
        """The held-out inputs that evaluations of this run look at."""
        return self.split(split)[: self.config.evaluation.limit(split)]

    def adapter(self, version: int) -> AdapterRef:
        """Where a version of this run lies."""
        if version == 0:
            return NO_ADAPTER
        [row] = self.store.select(Adapter, run_id=self.run.id, version=version)
        return AdapterRef(version, None if row.uri is None else self.store.located(row.uri), row.sha256)

    @property
    def promoted_version(self) -> int:
        """The adapter version that stands: the latest that was promoted, as the store has it."""
        promoted = self.store.select(Adapter, run_id=self.run.id, status="promoted")
        return max((row.version for row in promoted), default=0)

    def trouble(self) -> str:
        """What calls to endpoints are waiting for that have to be made again; empty where all is well."""
        return self.llm.trouble()

    def at_once(self, items: int, limit: int) -> int:
        """How many of a stage's items are worked on at once: all, where what they ask goes into batches together."""
        return max(1, items) if self.llm.batching else limit

    def news(self) -> str:
        """What stands beside a bar of dialogues: trouble with endpoints first, then what the student's actors do."""
        return self._beside(str(self.pool.stats()))

    def evaluation_news(self) -> str:
        """The same beside a bar of an evaluation, which may be of another version than the one that serves."""
        return self._beside(self.pool.stats().work)

    def _beside(self, work: str) -> str:
        holder = "" if self.holder is None else self.holder.news
        return "; ".join(line for line in dict.fromkeys((self.trouble(), holder, work)) if line)

    async def generate(self, request: GenerationRequest) -> Generation:
        """The student's answer; waits while the trainer has its turn.

        Raises:
            GenerationError: the student could not answer.
        """
        if self.ask_student is not None:
            return await self.ask_student(request)
        async with self.train_gate.generating():
            return await self.pool.generate(request)
