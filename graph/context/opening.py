"""Opening a run: the one place where what a run works with is put together, and ended with the block."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Unpack

from ...agents.endpoints.client import OpenAIClient
from ...agents.tasks.task import Task
from ...core.config import RunConfig, saved_config
from ...core.endpoints.secrets import keep_secret
from ...core.errors import ConfigError
from ...core.records import Example, Role
from ...store import ExampleRow, Run, RunExample, Store
from ...store.liveness import run_folder
from ...training.pool.pool import StudentPool
from ...training.student.fingerprint import KnownFiles
from ...training.student.packaged_weights import PACKAGED, packaged_folder
from ...training.trainer.trainer import Trainer
from .budget import Allowance, Budget, working_time
from .cast import Casting
from .engine import engine_to_send
from .models import open_models
from .plugs import Plugs
from .progress import Progress
from .replies.reply_cache import DRAIN_SECONDS, ReplyCache
from .reuse import Reuse
from .run_context import Drain, OwnParts, RunContext
from .seats import ROLES, Seat, seats


@asynccontextmanager
async def open_run_context(
    store: Store, run: Run, progress: Progress, *, plugs: Plugs, roles: Sequence[Role] = ROLES
) -> AsyncIterator[RunContext]:
    """A run ready to work. Students and trainer need a Ray session, which is the caller's.

    Args:
        store: Open for writing.
        run: The run; inputs and texts of one that goes back to a campaign are the campaign's.
        progress: Where to show what happens.
        plugs: The run's Python objects.
        roles: Whom the run asks.

    Raises:
        ConfigError: the task was changed since the run began, or a Python object cannot be had.
        EndpointLostError: the simulated cast does not start.
        BudgetError: on leaving, the block was cancelled since the run's minutes are over; or they were before.
    """
    config = saved_config(run)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(working_time(store, run, config.budget.minutes, progress.print))
        models = open_models(
            config.cast,
            config.seed,
            run_folder(store, run) / "simulated-cast.jsonl",
            roles=roles,
            tell=progress.print,
            samples=config.verdict.samples,
        )

        def start_pool() -> StudentPool:
            prepare_weights(config, progress)
            pool = StudentPool(
                config.student,
                threads=config.training.threads,
                engine=engine_to_send(plugs, config.student),
                folder=run_folder(store, run).absolute(),
                known=KnownFiles(run.id, run.student_files),
                tell=progress.print,
            )
            stack.callback(pool.close)
            return pool

        def start_trainer() -> Trainer:
            prepare_weights(config, progress)
            trainer = Trainer(config.training)
            stack.callback(trainer.close)
            return trainer

        budget = Budget.of(store, run, config.budget, progress.print)
        context = await stack.enter_async_context(
            assembled(
                store, run, plugs, models, budget, progress, roles, start_pool=start_pool, start_trainer=start_trainer
            )
        )
        stack.push_async_callback(_store_what_comes, context.drains, progress)
        changes = plugs.changes(run.plugs)
        for change in changes:
            progress.print(f"note: {change}")
        if changes:  # what is made from here on is made by them
            store.update(Run, run.id, plugs=plugs.renewed(run.plugs))
        yield context


@asynccontextmanager
async def assembled(
    store: Store,
    run: Run,
    plugs: Plugs,
    models: AbstractAsyncContextManager[Mapping[Seat, OpenAIClient]],
    allowance: Allowance,
    progress: Progress,
    roles: Sequence[Role],
    **own: Unpack[OwnParts],
) -> AsyncIterator[RunContext]:
    """What the driver and its workers alike make of a run, for the time of the block.

    Args:
        store: Open for writing, or for handing on.
        run: The run.
        plugs: Its Python objects.
        models: Opens the clients of those who are asked.
        allowance: What may be spent.
        progress: Where to show what happens.
        roles: Whom the run asks.
        own: What the driver has in another way than a worker.

    Raises:
        ConfigError: the task was changed since the run began, or a Python object cannot be had.
        EndpointLostError: as `models`.
    """
    config = saved_config(run)
    if config.student.endpoint is not None:  # what its engine says of a failure comes from another process
        keep_secret(os.environ.get(config.student.endpoint.api_key_env, "").strip())
    task, campaign = task_of(run, config, plugs), store.campaign_of(run)
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(models)
        reuse = Reuse.of(store, run, config)
        llm = ReplyCache(store, run.id, clients, allowance, reuse)
        casting = Casting(config, task, llm, plugs)
        stack.push_async_callback(casting.close)
        stack.enter_context(few_collections())
        yield RunContext(
            config=config,
            run=run,
            task=task,
            examples=examples_of(store, campaign.id),
            store=store,
            plugs=plugs,
            cast=casting.cast(roles),
            progress=progress,
            llm=llm,
            campaign=campaign.id,
            reuse=reuse,
            budget=allowance,
            simulated_url=_simulated_url(config, roles, clients),
            drains=[llm.drain],
            **own,
        )


@contextmanager
def few_collections() -> Iterator[None]:
    """Have what is no longer used looked for among what is new, and less often than Python does.

    The objects of all the modules that are loaded live as long as the process. To look through them again and again
    took a fifth of the driver's time, half a second at once.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _simulated_url(config: RunConfig, roles: Sequence[Role], clients: Mapping[Seat, OpenAIClient]) -> str | None:
    asked = seats(config.cast, roles).items()
    return next((clients[seat].url for seat, settings in asked if settings.asked and settings.simulated), None)


async def _store_what_comes(drains: Sequence[Drain], progress: Progress) -> None:
    """Let replies that are being written come to the store; tell of those that take too long."""
    late = await asyncio.gather(*(drain() for drain in drains))
    for number, what in (
        (sum(one.unanswered for one in late), f"did not come within {DRAIN_SECONDS:.0f} s"),
        (sum(one.unstored for one in late), "came, and the store did not take them"),
    ):
        if number:
            progress.print(f"note: {number} replies {what}; going on asks for them again")


def task_of(run: Run, config: RunConfig, plugs: Plugs) -> Task:
    """The task of a run, as it was when the run began.

    Raises:
        ConfigError: a function of it was changed since, or another task was given.
    """
    task = plugs.task(config.task)
    if task.hash != run.task_hash:
        changed = [name for name, record in task.functions.records.items() if run.plugs.get(f"task.{name}") != record]
        what = f"{', '.join(changed)} of the task" if changed else "the task"
        raise ConfigError(f"{what} {config.task!r} was changed since run {run.id} began; restore it, or start anew")
    return task


def examples_of(store: Store, run_id: str) -> list[Example]:
    """The inputs of a campaign, in its order."""
    rows = store.select(RunExample, run_id=run_id, order_by="position")
    inputs = {row.id: row for row in store.select(ExampleRow, id=[row.example_id for row in rows])}
    found = [(row, inputs[row.example_id]) for row in rows]
    return [
        Example(example.id, example.text, row.split, example.fields, row.own_id, row.details) for row, example in found
    ]


def prepare_weights(config: RunConfig, progress: Progress) -> None:
    """Convert packaged weights here, where the user sees it, and not in an actor."""
    if config.student.model in PACKAGED:
        packaged_folder(config.student.model, progress.print)
