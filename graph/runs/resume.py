"""Going on with a run that was interrupted, whatever it does."""

from collections.abc import Sequence

from ...core.config import saved_config
from ...core.config_file import override_config
from ...core.errors import ConfigError
from ...core.ids import content_hash
from ...store import Adapter, Dialogue, Run, Store
from ...store.liveness import held_run, in_use, live_status
from ...store.spending import prices_of_run
from ..context.plugs import Plugs
from ..context.prices import check_priced
from ..context.progress import Progress
from .examine import resume_examination
from .provenance import file_changes, task_file_changed
from .rejudge import resume_rejudging
from .retrain import resume_training
from .retry import retry_run
from .start import resume_run


def resume_any(
    store: Store,
    run_id: str,
    progress: Progress,
    *,
    plugs: Plugs | None = None,
    cluster: str | None = None,
    ask: bool = True,
    overrides: Sequence[str] = (),
    retry_failed: bool = False,
) -> Run:
    """Go on with a run from what the store holds; a finished one is returned as it is.

    Args:
        store: Open for writing.
        run_id: The run's id, the beginning of it, or `latest`.
        progress: Where to show what happens.
        plugs: Python objects that the run was started with and that cannot be imported.
        cluster: The address of the Ray cluster to use, as for `ray_session`.
        ask: Whether endpoints and servers are asked beforehand whether they answer.
        overrides: `budget.usd=5` and the like: nothing else of a run's configuration may change.
        retry_failed: Whether failed items are held again that no training has passed over, also of a finished run.

    Raises:
        ConfigError: the task's file was changed since the run began, a Python object cannot be imported again, another
            process is at it, or the cluster cannot be joined or cannot carry out the run.
    """
    run, plugs = store.resolve_run(run_id), plugs or Plugs()
    if overrides:
        run = _with_budget(store, run, overrides)
    if run.status == "finished" and retry_failed and run.kind != "rejudge":
        retry_run(store, run, progress, plugs=plugs.recall(run), cluster=cluster, ask=ask)
        return run
    if run.status == "finished" and not (retry_failed and store.count(Dialogue, run_id=run.id, status="failed")):
        progress.print(f"run {run.id} ({run.name}) is finished already; there is nothing to go on with")
        return run
    progress.print(f"openmic resume · {run.kind} {run.id} ({run.name}) · {_standing(store, run)}")
    if changes := file_changes(run):
        progress.print(
            f"note: {run.config_file['path']} was changed since the run began, which goes on with what it said then:"
        )
        for change in changes:
            progress.print(f"  {change}")
    if "task" not in plugs.all_given and task_file_changed(run):
        progress.print(
            f"note: the task {run.config['task']} was changed since the run began, which goes on with its own"
        )
    plugs.recall(run)
    with in_use(store, run):  # nobody deletes it while endpoints are asked and Ray starts
        if run.kind == "evaluate":
            return resume_examination(store, run, progress, plugs=plugs, cluster=cluster, ask=ask)
        if run.kind == "train":
            return resume_training(store, run, progress, plugs=plugs, cluster=cluster)
        if run.kind == "rejudge":
            return resume_rejudging(store, run, progress, plugs=plugs, ask=ask)
        return resume_run(run, store, progress, plugs=plugs, cluster=cluster, ask=ask, retry=retry_failed)


def _with_budget(store: Store, run: Run, overrides: Sequence[str]) -> Run:
    """The run with another budget, from now on."""
    for override in overrides:
        if override.partition("=")[0].partition(".")[0].strip() != "budget":
            raise ConfigError(
                f"--set {override}: a run goes on with the configuration it began with; only its budget may change. "
                "For another configuration start a new run, which takes over what is unchanged "
                f"(openmic run CONFIG --from {run.id})"
            )
    config = override_config(saved_config(run), overrides)
    check_priced(config, prices_of_run(run))
    values = {**run.config, "budget": config.budget.model_dump(mode="json")}
    with held_run(store, run):
        store.update(Run, run.id, config=values, config_hash=content_hash(values))
    changed = store.get(Run, run.id)
    assert changed is not None
    return changed


def _standing(store: Store, run: Run) -> str:
    """Where the run was left."""
    versions = [f"v{row.version}" for row in store.select(Adapter, run_id=run.id, order_by="version")]
    why = f"failed ({run.error})" if run.status == "failed" and run.error else live_status(store, run)
    return f"{why}, with {', '.join(versions) or 'no version'} so far"
