"""One run, open and ready to work, without Ray: a real store, the simulated cast over real HTTP, a scripted student."""

import asyncio
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import pytest
import uvicorn

from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.tasks.task import load_task
from openmic.core.config import EndpointSettings, RunConfig
from openmic.core.endpoints.listening import bind
from openmic.core.ids import content_hash
from openmic.core.records import AdapterRef, Example, Generation, GenerationRequest, Split, TrainingMetrics
from openmic.graph.context.budget import Budget
from openmic.graph.context.cast import Casting
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.progress import Silent
from openmic.graph.context.replies.reply_cache import ReplyCache
from openmic.graph.context.run_context import RunContext
from openmic.graph.context.seats import seat_model, seats
from openmic.graph.context.train_gate import TrainGate
from openmic.simulator import SimulatorSettings
from openmic.simulator.app import build_app
from openmic.store import ExampleRow, PromptTemplateRow, Run, RunExample, Store
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.pool.pool import StudentPool
from openmic.training.pool.stats import PoolStats
from openmic.training.trainer.trainer import Trainer

from ..served import end_thread

T = TypeVar("T")
SENTENCE = "The kettle in our kitchen broke again this morning."


class Heard(Silent):
    """Progress whose lines are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, text: str) -> None:
        self.lines.append(text)


class ScriptedPool:
    """Stands in for the student pool: drafts and revisions are read from a script, in the order of their turns."""

    def __init__(self, drafts: list[str], revisions: list[str] | None = None) -> None:
        self.drafts, self.revisions = drafts, list(revisions or [])
        self.requests: list[GenerationRequest] = []
        self.loaded: list[AdapterRef] = []
        self.promoted: list[int] = []

    async def generate(self, request: GenerationRequest) -> Generation:
        self.requests.append(request)
        revises = any(message.role == "assistant" for message in request.messages)
        text = self.revisions.pop(0) if revises else self.drafts[int(request.id.rpartition(":")[2])]
        return Generation(request.id, text, (1, 2, 3), 5, request.adapter, "stop", 0.0, 1.0, "script")

    async def ready(self, students: int = 1) -> None:
        """It always is."""

    async def load_adapter(self, ref: AdapterRef) -> None:
        self.loaded.append(ref)

    def promote(self, version: int) -> None:
        self.promoted.append(version)

    def stats(self) -> PoolStats:
        return PoolStats(
            actors=1, serving=1, in_flight=0, waiting=0, tokens_per_second=0, utilisation=0, promoted_version=0
        )


class Saves:
    """A PEFT model, as far as a commit looks at it."""

    def save_pretrained(self, folder: str, **_: object) -> None:
        Path(folder, "adapter_model.safetensors").write_text("weights")


def committed(job: Any, metrics: TrainingMetrics | None = None) -> AdapterRef:
    """The adapter of a training, committed as the trainer does it."""
    facts = {"run": job.run, "training": job.key}
    return commit_adapter(Saves(), job.adapters, job.version, facts, metrics=metrics)


class Serve(Protocol):
    def __call__(self, log: Path | None = None, **settings: Any) -> str:
        """The base URL of a simulated cast with such settings."""
        ...


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Starts simulated casts; those of equal settings and without a log are one and the same."""
    running: dict[str, tuple[uvicorn.Server, threading.Thread, str]] = {}

    def start(log: Path | None = None, **settings: Any) -> str:
        name = f"{log} {settings}"
        if name not in running:
            listener = bind("127.0.0.1", 0, "the test")
            app = build_app(SimulatorSettings(**settings), log)
            server = uvicorn.Server(
                uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
            )
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            running[name] = server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        return running[name][2]

    yield start
    for server, _, _ in running.values():
        server.should_exit = True
    for _, thread, _ in running.values():
        end_thread(thread)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with tables and nothing in it, made once because making the tables takes long."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    Store.open(str(path)).close()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(empty_store, tmp_path / "store.db")
    with Store.open(str(tmp_path / "store.db")) as opened:
        yield opened


def example_of(text: str, split: Split = Split.TRAIN) -> Example:
    return Example(content_hash(text), text, split)


def config_of(**sections: Any) -> RunConfig:
    """A configuration whose student may write 48 tokens, where nothing else is said."""
    return open_config(**sections).settled(48)


def open_config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "inputs": {"path": "inputs.txt"},
            "dialogue": {"candidates": 3},
            "preferences": {"length_ratio": [0.5, 2.0]},
            **sections,
        }
    )


def run_row(config: RunConfig, home: Path, **values: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": "RUN1",
        "name": "test",
        "task": "humor",
        "task_hash": "t",
        "cast": {"simulated": True, "teacher": "sim-teacher", "critic": "sim-critic", "judge": "sim-judge"},
        "config": config.model_dump(mode="json"),
        "config_hash": "c",
        "seed": config.seed,
        "home": str(home),
    }
    return Run(**defaults | values)


class Bench:
    """A run's context, and the scripted pool in it."""

    def __init__(self, store: Store, home: Path, config: RunConfig, examples: list[Example], url: str) -> None:
        self.store, self.config, self.examples, self.url = store, config, examples, url
        self.lines: list[str] = []
        """What whoever watches was told of endpoints."""
        self.objects: dict[str, Any] = {}
        """Python objects that the run is given, by their configuration key."""
        self.task = load_task(config.task)
        self.run_row = run_row(config, home, task_hash=self.task.hash)
        store.add(self.run_row)
        store.add_new(
            *(
                PromptTemplateRow(
                    hash=t.hash, task=t.task, role=t.role, purpose=t.purpose, version=str(t.version), text=t.text
                )
                for t in self.task.templates()
            ),
            *(ExampleRow(id=e.id, text=e.text, fields=dict(e.fields)) for e in examples),
        )
        store.add(
            *(RunExample(run_id="RUN1", example_id=e.id, position=i, split=e.split) for i, e in enumerate(examples))
        )

    def play(self, pool: ScriptedPool, act: Callable[[RunContext], Awaitable[T]], run_id: str = "RUN1") -> T:
        """Do something with a context whose clients live as long as it takes."""

        async def perform() -> T:
            clients = {
                seat: OpenAIClient(
                    EndpointSettings(
                        model=seat_model(seat, settings), max_retries=0, patience_s=0, batch=settings.batch
                    ),
                    base_url=self.url,
                    tell=self.lines.append,
                )
                for seat, settings in seats(self.config.cast).items()
                if settings.asked
            }
            try:
                return await act(self.context(pool, ReplyCache(self.store, run_id, clients), run_id))
            finally:
                for client in clients.values():
                    await client.close()

        return asyncio.run(perform())

    def context(self, pool: ScriptedPool, llm: ReplyCache, run_id: str = "RUN1") -> RunContext:
        run = self.store.get(Run, run_id)
        assert run is not None
        plugs = Plugs(self.objects)
        context = RunContext(
            config=self.config,
            run=run,
            task=self.task,
            examples=self.examples,
            store=self.store,
            plugs=plugs,
            cast=Casting(self.config, self.task, llm, plugs).cast(),
            progress=Silent(),
            llm=llm,
            campaign="RUN1",
            start_pool=lambda: cast(StudentPool, pool),
            start_trainer=lambda: cast(Trainer, None),
            budget=Budget.of(self.store, run, self.config.budget, print),
            simulated_url=self.url,
        )
        context.train_gate = TrainGate(overlapped=True)
        return context


class Prepare(Protocol):
    def __call__(self, examples: list[Example] | None = None, url: str | None = None, **sections: Any) -> Bench:
        """A run with these inputs, this cast and these sections of the configuration."""
        ...


@pytest.fixture
def prepare(store: Store, tmp_path: Path, serve: Serve) -> Prepare:
    def make(examples: list[Example] | None = None, url: str | None = None, **sections: Any) -> Bench:
        return Bench(store, tmp_path, config_of(**sections), examples or [example_of(SENTENCE)], url or serve())

    return make
