"""What a worker works with: what `graph.context.opening` assembles, without what there is but one of."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ...core.config import saved_config
from ...store import Dialogue, Run, Store
from ...store.dialects.location import is_postgresql
from ...store.liveness import run_folder
from ..context.models import open_models
from ..context.opening import assembled
from ..context.plugs import Plugs
from ..context.run_context import RunContext
from ..context.shares import ASKED_BY_WORKERS, share_of
from ..rollout.holding import hold
from .messages import Hold, Setup
from .outbox import Outbox, ToldAllowance, ToldProgress


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker that is ready."""

    context: RunContext
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
        config = saved_config(run)
        given: dict[str, Any] = dict(setup.given)
        progress, allowance = ToldProgress(outbox), ToldAllowance(outbox, setup.spent)
        models = open_models(
            share_of(config.cast, setup.place, config.dialogue.workers),
            config.seed,
            run_folder(store, run),
            roles=ASKED_BY_WORKERS,
            tell=progress.print,
            samples=config.verdict.samples,
            simulated_url=setup.simulated_url,
        )
        context = await stack.enter_async_context(
            assembled(
                store,
                run,
                Plugs(given).recall(run),
                models,
                allowance,
                progress,
                ASKED_BY_WORKERS,
                start_pool=_the_drivers,
                start_trainer=_the_drivers,
                ask_student=outbox.generate,
            )
        )
        yield Opened(context, allowance)


async def hold_one(context: RunContext, order: Hold) -> None:
    """Hold the dialogue that is meant, which the driver has opened."""
    dialogue = await context.store.patiently(context.store.get, Dialogue, order.dialogue_id)
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
