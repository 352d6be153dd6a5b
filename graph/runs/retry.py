"""Holding the failed items of a finished run again; its status stays what it is."""

from ...core.config import saved_config
from ...core.records import Stage
from ...store import Run, Store
from ...store.liveness import run_folder
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.seats import examiners
from ..preflight.checks import check_cast
from ..preflight.cluster import checked_session
from ..stages.retry import failed_by_fate, retry_failed
from .execution import locked
from .objects import check_objects
from .opened import opened


def retry_run(
    store: Store, run: Run, progress: Progress, *, plugs: Plugs, cluster: str | None = None, ask: bool = True
) -> None:
    """Hold references and evaluations again that failed, and say what stays as it is.

    Raises:
        ConfigError: another process is at it, or an object, the task or the cluster cannot be had.
        EndpointError: not one output of an adapter could be judged.
    """
    again, left = failed_by_fate(store, run)
    if not again and not left:
        progress.print(f"nothing has failed in run {run.id}: there is nothing to hold again")
        return
    if not again:
        progress.print(f"{len(left)} failed items stay as they are, since the student was trained without them")
        return
    demonstrates = any(each.stage is Stage.DEMONSTRATE for each in again)
    config = saved_config(run)
    roles = examiners(config.evaluation)
    if demonstrates and "teacher" not in roles:
        roles = ("teacher", *roles)
    check_objects(store, run, config, plugs, roles=roles, objective=False, ask=ask)
    check_cast(config, plugs, roles=roles, ask=ask)

    async def hold_again() -> None:
        async with opened(store, run, progress, plugs=plugs, roles=roles) as context:
            await retry_failed(context)

    with checked_session(config, store.address, run_folder(store, run), address=cluster):
        locked(store, run, hold_again)
