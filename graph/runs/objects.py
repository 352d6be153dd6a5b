"""A run that is taken up has its objects and its student again, tried before anything goes on."""

from collections.abc import Sequence

from ...core.config import RunConfig, saved_config
from ...core.records import Role
from ...store import Run, Store
from ...training.student.fingerprint import KnownFiles
from ..context.keys import refuse_unused
from ..context.opening import examples_of, task_of
from ..context.plugs import Plugs
from ..context.seats import ROLES
from ..preflight.objects import check_engine, check_objective, try_plugs


def check_objects(
    store: Store,
    run: Run,
    config: RunConfig,
    plugs: Plugs,
    *,
    roles: Sequence[Role] = ROLES,
    objective: bool = True,
    engine: bool = True,
    scorers: bool = True,
    ask: bool = True,
) -> None:
    """Load and try what of a run's Python objects is needed, so that what was changed of it is known.

    Args:
        store: Where its inputs are.
        run: The run, or the one that another is derived from.
        config: The configuration that is to be carried out.
        plugs: The objects.
        roles: Who is asked.
        objective: Whether something is trained.
        engine: Whether something is generated.
        scorers: Whether outputs are scored.
        ask: Whether the student's server is asked.

    Raises:
        ConfigError: one was given that would never be asked, cannot be had, fails, or answers what it may not.
        StudentChangedError: the student's files are not those that the run began with.
    """
    refuse_unused(plugs.all_given, config)
    if (objective or engine) and config.student.model == saved_config(run).student.model:
        KnownFiles(run.id, run.student_files).check(config.student)
    if objective:
        check_objective(config, plugs)
    if engine:
        check_engine(config, plugs, ask=ask)
    task, [example, *_] = task_of(run, config, plugs), examples_of(store, store.campaign_of(run).id)
    try_plugs(config, task, example, plugs, roles=roles, scorers=scorers)
