"""Going on with a run that was interrupted, whatever it does."""

from ...store import Run, Store
from ..context.plugs import Plugs
from ..context.progress import Progress
from .rejudge import resume_rejudging
from .retrain import resume_training
from .start import resume_run


def resume_any(
    store: Store,
    run_id: str,
    progress: Progress,
    *,
    plugs: Plugs | None = None,
    cluster: str | None = None,
    ask: bool = True,
) -> Run:
    """Go on with a run from what the store holds; a finished one is returned as it is.

    Args:
        store: Open for writing.
        run_id: The run's id, the beginning of it, or `latest`.
        progress: Where to show what happens.
        plugs: Python objects that the run was started with and that cannot be imported.
        cluster: The address of the Ray cluster to use, as for `ray_session`.
        ask: Whether endpoints and servers are asked beforehand whether they answer.

    Raises:
        ConfigError: the task's file was changed since the run began, a Python object cannot be imported again, another
            process is at it, or the cluster cannot be joined or cannot carry out the run.
    """
    run, plugs = store.resolve_run(run_id), plugs or Plugs()
    if run.status == "finished":
        return run
    plugs.recall(run.plugs)
    if run.kind == "train":
        return resume_training(store, run, progress, plugs=plugs, cluster=cluster)
    if run.kind == "rejudge":
        return resume_rejudging(store, run, progress, plugs=plugs, ask=ask)
    return resume_run(run, store, progress, plugs=plugs, cluster=cluster, ask=ask)
