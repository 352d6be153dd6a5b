"""Opening a run that is to be told of to its trackers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ...core.config import saved_config
from ...core.records import Role
from ...store import Run, Store
from ..context.opening import open_run_context
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.run_context import RunContext
from ..context.seats import ROLES
from ..tracking.reporting import reporting


@asynccontextmanager
async def opened(
    store: Store, run: Run, progress: Progress, *, plugs: Plugs, roles: Sequence[Role] = ROLES
) -> AsyncIterator[RunContext]:
    """As `open_run_context`; meanwhile the run's trackers get what the store has, and the rest at its end."""
    async with (
        reporting(store, run, saved_config(run), progress.print),
        open_run_context(store, run, progress, plugs=plugs, roles=roles) as context,
    ):
        yield context
