"""Starting a run, and going on with one that was interrupted."""

import asyncio
import importlib.metadata
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..agents.cast import Critic, Judge, StudentAgent, Teacher
from ..agents.task import Task, load_task
from ..core.config import RunConfig
from ..core.errors import ConfigError, InterruptedRunError
from ..core.ids import content_hash
from ..core.records import Example
from ..store import Example as ExampleRow
from ..store import PromptTemplate, Run, RunExample, Store
from ..store.schema import now
from ..training.local_ray import ray_session
from ..training.packaged_weights import PACKAGED, packaged_folder
from ..training.pool import StudentPool, Trainer
from .campaign import CampaignState, build_campaign_graph
from .cast_session import model_names, open_cast
from .preflight import Checked, check_cast
from .progress import Progress
from .runtime import RunContext
from .saved_llm import SavedLLM

PACKAGES = ("openmic", "torch", "transformers", "peft", "ray", "langgraph", "langchain-openai")
"""Whose versions are recorded with a run."""


def start_run(run_id: str, config: RunConfig, checked: Checked, arguments: Sequence[str], progress: Progress) -> Run:
    """Record a new run under `run_id` and carry it out; returns it finished.

    `checked` is what `preflight.check` returned for the same configuration.

    Raises:
        InterruptedRunError: Ctrl-C; everything done is stored.
        OpenmicError: the run failed; it can be resumed once the cause is mended.
    """
    with Store.open(config.store_url) as store:
        home = (config.home / "runs" / run_id).absolute()
        home.mkdir(parents=True)
        run = Run(
            id=run_id,
            name=config.name,
            task=checked.task.name,
            task_hash=checked.task.hash,
            cast={
                "simulated": checked.simulated,
                **{str(role): name for role, name in model_names(config.cast).items()},
            },
            config=config.model_dump(mode="json"),
            config_hash=content_hash(config.model_dump(mode="json")),
            arguments=list(arguments),
            seed=config.seed,
            git_commit=_git_commit(),
            packages={name: importlib.metadata.version(name) for name in PACKAGES},
            home=str(home),
        )
        store.add_new(*_templates(checked.task), *(ExampleRow(id=e.id, text=e.text) for e in checked.examples))
        store.add(
            run,
            *(
                RunExample(run_id=run_id, example_id=example.id, position=position, split=example.split)
                for position, example in enumerate(checked.examples)
            ),
        )
        return _carry_out(store, run_id, config, checked.task, checked.examples, progress)


def resume_run(run_id: str, store_url: str, progress: Progress) -> Run:
    """Go on with a run from what the store holds; a finished run is returned as it is.

    Raises:
        ConfigError: the task's file was changed since the run began, or another process is at it.
    """
    with Store.open(store_url) as store:
        run = store.resolve_run(run_id)
        if run.status == "finished":
            return run
        config = RunConfig.model_validate(run.config)
        task = load_task(config.task)
        if task.hash != run.task_hash:
            raise ConfigError(
                f"the task {config.task!r} was changed since run {run.id} began; restore it, or start anew"
            )
        check_cast(config)
        rows = store.select(RunExample, run_id=run.id, order_by="position")
        texts = {row.id: row.text for row in store.select(ExampleRow, id=[row.example_id for row in rows])}
        examples = [Example(row.example_id, texts[row.example_id], row.split) for row in rows]
        store.update(Run, run.id, status="running", error=None)
        return _carry_out(store, run.id, config, task, examples, progress)


def _carry_out(
    store: Store, run_id: str, config: RunConfig, task: Task, examples: list[Example], progress: Progress
) -> Run:
    run = store.get(Run, run_id)
    assert run is not None
    lock = FileLock(Path(run.home) / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(f"another process is carrying out run {run_id}; wait for it, or end it first") from None
    try:
        _prepare_weights(config, progress)
        asyncio.run(_campaign(store, run, config, task, examples, progress))
        store.update(Run, run_id, status="finished", finished_at=now())
    except (KeyboardInterrupt, asyncio.CancelledError):
        store.update(Run, run_id, status="interrupted")
        raise InterruptedRunError(f"run {run_id} was interrupted; everything done so far is stored") from None
    except BaseException as error:
        store.update(Run, run_id, status="failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        lock.release()
    finished = store.get(Run, run_id)
    assert finished is not None
    return finished


async def _campaign(
    store: Store, run: Run, config: RunConfig, task: Task, examples: list[Example], progress: Progress
) -> None:
    _end_on_sigterm()
    folder = Path(run.home)
    names, threads = model_names(config.cast), config.training.threads
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_cast(config.cast, config.seed, folder / "simulated-cast.jsonl"))
        saver = await stack.enter_async_context(
            AsyncSqliteSaver.from_conn_string(str(folder.parent.parent / "checkpoints.db"))
        )
        stack.enter_context(ray_session())
        pool, trainer = StudentPool(config.student, threads=threads), Trainer(threads=threads)
        stack.callback(trainer.close)
        stack.callback(pool.close)
        llm = SavedLLM(store, run.id, clients)
        stack.push_async_callback(llm.drain)
        context = RunContext(
            config=config,
            run=run,
            task=task,
            examples=examples,
            store=store,
            llm=llm,
            teacher=Teacher(task, llm, names["teacher"], config.seed),
            critic=Critic(task, llm, names["critic"], config.seed),
            judge=Judge(task, llm, names["judge"], config.seed),
            student=StudentAgent(task, config.seed),
            pool=pool,
            trainer=trainer,
            progress=progress,
        )
        graph = build_campaign_graph(saver)
        thread = RunnableConfig(configurable={"thread_id": run.id}, recursion_limit=20 + 10 * config.rounds)
        begun = bool((await graph.aget_state(thread)).values)
        await graph.ainvoke(None if begun else CampaignState(), thread, context=context)
        await saver.adelete_thread(run.id)


def _prepare_weights(config: RunConfig, progress: Progress) -> None:
    """Convert packaged weights here, where the user sees it, and not in an actor."""
    if config.student.model in PACKAGED:
        packaged_folder(config.student.model, progress.say)


def _templates(task: Task) -> list[PromptTemplate]:
    return [
        PromptTemplate(
            hash=template.hash,
            task=template.task,
            role=template.role,
            purpose=template.purpose,
            version=str(template.version),
            text=template.text,
        )
        for template in task.templates()
    ]


def _end_on_sigterm() -> None:
    """SIGTERM is an interrupt like Ctrl-C: what is in flight is stored first."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError, RuntimeError):  # only the main thread of a POSIX process has signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _git_commit() -> str | None:
    """The commit of the working directory, where it is a git checkout."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
