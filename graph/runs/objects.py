"""A run that is taken up has its objects and its student again, tried before anything goes on."""

from collections.abc import Sequence

from ...core.config import RunConfig, saved_config
from ...core.errors import ConfigError
from ...core.records import Role
from ...store import Run, Store
from ...training.student.fingerprint import changed_files, student_files
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
        ConfigError: one was given that would never be asked, cannot be had, fails, or answers what it may not; or the
            student's files are not those that the run began with.
    """
    refuse_unused(plugs.all_given, config)
    if objective or engine:
        _check_student_files(run, config)
    if objective:
        check_objective(config, plugs)
    if engine:
        check_engine(config, plugs, ask=ask)
    task, [example, *_] = task_of(run, config, plugs), examples_of(store, store.campaign_of(run).id)
    try_plugs(config, task, example, plugs, roles=roles, scorers=scorers)


def _check_student_files(run: Run, config: RunConfig) -> None:
    """Refuse weights that were changed under a run's feet; another student that was named is another matter."""
    if not run.student_files or config.student.model != saved_config(run).student.model:
        return
    if changed := changed_files(run.student_files, student_files(config.student)):
        raise ConfigError(
            f"the weights of student.model {config.student.model!r} are not those that run {run.id} began with: "
            f"{', '.join(changed[:3])}{' and more' if len(changed) > 3 else ''}; put them back, or start a new run, "
            f"which takes over what is unchanged (openmic run CONFIG --from {run.id})"
        )
