"""Everything that can be known to be wrong before anything is loaded, paid for or written."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...agents.endpoints.check import check_endpoint, check_scores_prompts
from ...agents.tasks.task import Task, load_task
from ...agents.verdicts.pairwise import PURPOSES
from ...core.config import RunConfig
from ...core.errors import ConfigError, StoreError
from ...core.inputs import read_inputs
from ...core.records import Example, Role
from ...simulator.skills import MODELS
from ...store import check_writable
from ...training.adapters.storage import check_storage
from ...training.engines.choose import engine_name
from ...training.objectives import OBJECTIVES, phases
from ...training.student.student import StudentInfo, inspect_student
from ..context.seats import ROLES, seat_model, seat_setting, seats


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks found out."""

    task: Task
    examples: list[Example]
    student: StudentInfo
    simulated: bool
    """Whether every large model is the simulated cast, embedded or served elsewhere."""


def check(config: RunConfig) -> Checked:
    """Check a configuration against the world, cheapest first. Writes nothing.

    Raises:
        OpenmicError: the first thing that is wrong, with exit code 2.
    """
    examples = read_inputs(config.inputs)
    task = load_task(config.task)
    task.check_inputs(config.inputs.field_names)
    task.functions.try_on(examples[0].value)
    task.template("teacher", "demonstrate")
    if config.dialogue.max_revisions:
        task.template("critic", "critique")
    check_writable(config.store_url)
    if config.storage_uri is not None:
        check_storage(config.storage_uri)
    if config.home.exists() and not config.home.is_dir():
        raise StoreError(f"home {str(config.home)!r} is a file, not a folder; set home")
    check_objective(config)
    engine_name(config.student)
    student = inspect_student(config.student.model)
    return Checked(task, examples, student, check_cast(config))


def check_objective(config: RunConfig) -> None:
    """Check that there is such an objective, and that it can be trained as configured.

    Raises:
        ConfigError: it is unknown, or does not learn from what `training.train_every` counts.
    """
    settings = config.training
    needs = {OBJECTIVES[phase.objective].needs for phase in phases(settings.objective)}
    if settings.train_every is not None and needs == {"demonstrations"}:
        raise ConfigError(
            f"training.train_every counts preferences, which {settings.objective!r} does not learn from; leave it out"
        )


def check_critic(config: RunConfig) -> bool:
    """Check the critic and its jury; returns whether all of them are simulated casts.

    Raises:
        OpenmicError: as for `check_cast`.
    """
    return check_cast(config, roles=("critic",))


def check_cast(config: RunConfig, *, roles: Sequence[Role] = ROLES) -> bool:
    """Check the models of these roles, and that they can be asked for verdicts as configured.

    Returns whether all of them are simulated casts.

    Raises:
        TaskError: the task has no prompt for the style of verdict.
        ConfigError: a jury has more simulated seats than there are simulated critics.
        EndpointSetupError: an endpoint is not there, lacks the model, or cannot score prompts where that is needed.
    """
    style, task = config.verdict.style, load_task(config.task)
    judging = [role for role in roles if role != "teacher"]
    for role in judging:
        task.template(role, style if style == "cloze" else PURPOSES[style])
    simulated = True
    for member, endpoint in seats(config.cast, roles).items():
        if not endpoint.simulated:
            simulated &= check_endpoint(seat_setting(member), endpoint)
            if style == "cloze" and member[0] in judging:
                check_scores_prompts(seat_setting(member), endpoint)
        elif (model := seat_model(member, endpoint)) not in MODELS:
            raise ConfigError(
                f"cast.{seat_setting(member)}: the simulated cast has no {model}, only {', '.join(MODELS)}; leave this "
                "juror out, or name another model"
            )
    return simulated
