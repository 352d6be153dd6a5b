"""What a worker works with: as `graph.context.opening` for the driver, without what there is but one of."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ...core.config import RunConfig
from ...core.endpoints.secrets import keep_secret
from ...store import Dialogue, Run, Store
from ...store.dialects.location import is_postgresql
from ...store.liveness import run_folder
from ..context.cast import Casting
from ..context.models import open_models
from ..context.opening import examples_of, few_collections, task_of
from ..context.plugs import Plugs
from ..context.reply_cache import ReplyCache
from ..context.reuse import Reuse
from ..context.run_context import RunContext
from ..context.shares import ASKED_BY_WORKERS, share_of
from ..rollout.holding import hold
from .messages import Hold, Setup
from .outbox import Outbox, ToldAllowance, ToldProgress


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker that is ready."""

    context: RunContext
    llm: ReplyCache
    allowance: ToldAllowance


@asynccontextmanager
async def open_worker(setup: Setup, outbox: Outbox) -> AsyncIterator[Opened]:
    """A worker ready to hold dialogues, for the time of the block.

    Raises:
        OpenmicError: an endpoint's address, the store or a Python object cannot be had.
    """
    for name, value in setup.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    async with AsyncExitStack() as stack:
        store = stack.enter_context(_store(setup, outbox))
        run = store.get(Run, setup.run_id)
        assert run is not None
        config = RunConfig.model_validate(run.config)
        if config.student.endpoint is not None:  # as in the driver: what its engine says of a failure comes here, too
            keep_secret(os.environ.get(config.student.endpoint.api_key_env, "").strip())
        given: dict[str, Any] = dict(setup.given)
        plugs = Plugs(given).recall(run.plugs)
        task, campaign = task_of(run, config, plugs), store.campaign_of(run)
        progress = ToldProgress(outbox)
        cast = share_of(config.cast, setup.place, config.dialogue.workers)
        models = open_models(
            cast,
            config.seed,
            run_folder(store, run),
            roles=ASKED_BY_WORKERS,
            tell=progress.print,
            samples=config.verdict.samples,
            simulated_url=setup.simulated_url,
        )
        clients = await stack.enter_async_context(models)
        reuse, allowance = Reuse.of(store, run, config), ToldAllowance(outbox, setup.spent)
        llm = ReplyCache(store, run.id, clients, allowance, reuse)
        casting = Casting(config, task, llm, plugs)
        stack.push_async_callback(casting.close)
        stack.enter_context(few_collections())
        yield Opened(
            RunContext(
                config=config,
                run=run,
                task=task,
                examples=examples_of(store, campaign.id),
                store=store,
                plugs=plugs,
                cast=casting.cast(ASKED_BY_WORKERS),
                progress=progress,
                trouble=llm.trouble,
                campaign=campaign.id,
                reuse=reuse,
                start_pool=_the_drivers,
                start_trainer=_the_drivers,
                budget=allowance,
                ask_student=outbox.generate,
            ),
            llm,
            allowance,
        )


async def hold_one(context: RunContext, order: Hold) -> None:
    """Hold the dialogue that is meant, which the driver has opened."""
    dialogue = context.store.get(Dialogue, order.dialogue_id)
    assert dialogue is not None
    await hold(context, dialogue, order.version, order.overused, new=order.new)


def _store(setup: Setup, outbox: Outbox) -> Store:
    """The store: a file has one process that writes, a server takes what each of many writes."""
    if not is_postgresql(setup.store):
        return Store.open_handing_on(setup.store, outbox.keep)
    store = Store.open(setup.store)
    store.patience_s = setup.patience_s
    return store


def _the_drivers() -> NoReturn:
    raise AssertionError("students and trainer are the driver's")
