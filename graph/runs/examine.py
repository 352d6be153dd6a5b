"""Evaluating an adapter otherwise than its run did: best of several by the critic, another judge, the teacher itself.

What is made belongs to a run of its own; the run whose adapter it is stays as it is.
"""

from collections.abc import Sequence

from ...core.config import RunConfig, saved_config
from ...core.errors import ConfigError
from ...core.records import Split
from ...store import Adapter, Run, Store
from ...store.liveness import run_folder
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.seats import examiners
from ..preflight.checks import check_cast
from ..preflight.cluster import checked_session
from ..stages.evaluate import evaluate
from .derive import begin_derived, derived_config, recalled
from .execution import execute
from .objects import check_objects
from .opened import opened
from .provenance import Membership


def start_examination(
    store: Store,
    source: Run,
    *,
    version: int,
    overrides: Sequence[str],
    arguments: Sequence[str],
    progress: Progress,
    plugs: Plugs | None = None,
    ask: bool = True,
    member: Membership | None = None,
) -> Run:
    """Judge one adapter of a run on the test inputs, as a run of its own; returns it finished.

    Args:
        store: Open for writing.
        source: The run whose adapter it is.
        version: Which of its versions; 0 is the bare student.
        overrides: `evaluation.…=…`, `cast.…=…` or `verdict.…=…`.
        arguments: The command line as it was typed.
        progress: Where to show it.
        plugs: Python objects that were given, such as a judge.
        ask: Whether endpoints are asked beforehand whether they answer.
        member: Its place in an experiment.

    Raises:
        ConfigError: an override is wrong, or there is no such version; then nothing was recorded.
        EndpointError: not one output could be judged.
    """
    config = derived_config("evaluate", saved_config(source), overrides)
    known = store.select(Adapter, run_id=source.id)
    if version not in {row.version for row in known}:
        raise ConfigError(f"run {source.id} has no adapter version {version}; it has {[row.version for row in known]}")
    plugs = recalled(source, config, plugs)
    _check(store, source, config, plugs, ask=ask)
    simulated = check_cast(config, plugs, roles=examiners(config.evaluation), ask=False)
    run = begin_derived(
        store,
        "evaluate",
        source,
        config,
        plugs=plugs,
        simulated=simulated and bool(source.cast["simulated"]),
        arguments=arguments,
        adapters=[row for row in known if row.version in {0, version}],
        member=member,
    )
    return resume_examination(store, run, progress, plugs=plugs, ask=False)


def resume_examination(
    store: Store,
    run: Run,
    progress: Progress,
    *,
    plugs: Plugs | None = None,
    cluster: str | None = None,
    ask: bool = True,
) -> Run:
    """Go on with an evaluation that was interrupted; what was judged is not judged again."""
    config, plugs = saved_config(run), plugs or Plugs()
    _check(store, run, config, plugs, ask=ask)
    version = max(row.version for row in store.select(Adapter, run_id=run.id))

    async def judge(run: Run) -> None:
        roles = examiners(config.evaluation)
        async with opened(store, run, progress, plugs=plugs, roles=roles) as context:
            await evaluate(context, version, Split.TEST)

    with checked_session(config, store.address, run_folder(store, run), address=cluster):
        return execute(store, run.id, judge)


def _check(store: Store, run: Run, config: RunConfig, plugs: Plugs, *, ask: bool) -> None:
    roles = examiners(config.evaluation)
    check_objects(store, run, config, plugs, roles=roles, objective=False, ask=ask)
    check_cast(config, plugs, roles=roles, ask=ask)
