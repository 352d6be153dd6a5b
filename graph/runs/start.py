"""Starting a campaign, and going on with one that was interrupted."""

from collections.abc import Sequence
from pathlib import Path

from ...agents.tasks.task import Task
from ...core.config import RunConfig, saved_config
from ...core.records import Example
from ...store import ExampleRow, Run, RunExample, Store
from ...store.liveness import run_folder
from ..campaign import run_campaign
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..preflight.checks import Checked, check_cast
from ..preflight.cluster import checked_session
from ..preflight.drafts import check_teacher_tokens
from ..stages.retry import retry_failed
from .execution import execute
from .objects import check_objects
from .opened import opened
from .provenance import Membership, begin_run, pinned, run_record, template_rows


def start_run(
    run_id: str,
    config: RunConfig,
    checked: Checked,
    arguments: Sequence[str],
    progress: Progress,
    *,
    cluster: str | None = None,
    config_file: Path | None = None,
    reuses: str | None = None,
    member: Membership | None = None,
) -> Run:
    """Record a new run under `run_id` and carry it out; returns it finished.

    The run stays with the commit of its student's hub id that the checks found.

    `checked` is what `preflight.check` returned for the same configuration, `cluster` the address of the Ray cluster to
    use, as for `ray_session`.

    Raises:
        ConfigError: the cluster cannot be joined or cannot carry out the run; then nothing was recorded.
        InterruptedRunError: Ctrl-C; everything done is stored.
        OpenmicError: the run failed; it can be resumed once the cause is mended.
    """
    config = pinned(config, checked.student)
    home = (config.home / "runs" / run_id).absolute()
    with checked_session(config, config.store_url, home, address=cluster), Store.open(config.store_url) as store:
        run = run_record(
            run_id,
            config,
            checked.task,
            simulated=checked.simulated,
            plugs=checked.plugs.records,
            home=store.recorded(home),
            arguments=arguments,
            duplicates=checked.duplicates,
            estimate=checked.estimate,
            foreseen=checked.forecast,
            config_file=config_file,
            reuses=reuses,
            member=member,
        )
        record_run(store, run, checked.task, checked.examples)
        return _carry_out(store, run_id, checked.plugs, progress)


def resume_run(
    run: Run,
    store: Store,
    progress: Progress,
    *,
    plugs: Plugs | None = None,
    cluster: str | None = None,
    ask: bool = True,
    retry: bool = False,
) -> Run:
    """Go on with a campaign from what the store holds; a finished one is returned as it is.

    `ask` says whether endpoints and servers are asked beforehand whether they answer, `retry` whether failed items of
    what has ended are held again.

    Raises:
        ConfigError: the task's file was changed since the run began, a Python object cannot be imported again, another
            process is at it, or the cluster cannot be joined or cannot carry out the run.
    """
    if run.status == "finished":
        return run
    config, plugs = saved_config(run), plugs or Plugs()
    check_objects(store, run, config, plugs, ask=ask)
    check_cast(config, plugs, ask=ask)
    check_teacher_tokens(config, ask=ask)
    with checked_session(config, store.address, run_folder(store, run), address=cluster):
        return _carry_out(store, run.id, plugs, progress, retry=retry)


def record_run(store: Store, run: Run, task: Task, examples: Sequence[Example]) -> Run:
    """Record a run that begins now with the prompts of its task and with inputs of its own; returns it."""
    inputs = (ExampleRow(id=example.id, text=example.text, fields=dict(example.fields)) for example in examples)
    own = (
        RunExample(
            run_id=run.id,
            example_id=example.id,
            position=position,
            split=example.split,
            own_id=example.own_id,
            details=dict(example.metadata),
        )
        for position, example in enumerate(examples)
    )
    return begin_run(store, run, *own, shared=(*template_rows(task), *inputs))


def _carry_out(store: Store, run_id: str, plugs: Plugs, progress: Progress, *, retry: bool = False) -> Run:
    async def campaign(run: Run) -> None:
        async with opened(store, run, progress, plugs=plugs) as context:
            if retry:
                await retry_failed(context)
            await run_campaign(context)

    return execute(store, run_id, campaign)
