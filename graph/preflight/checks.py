"""Everything that can be known to be wrong before anything is loaded, paid for or written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from ...agents.endpoints.check import check_endpoint, check_scores_prompts
from ...agents.llm import LLM
from ...agents.tasks.task import Task
from ...agents.verdicts.pairwise import PURPOSES
from ...core.concurrency import run_to_end
from ...core.config import RunConfig
from ...core.errors import ConfigError, OpenmicError, StoreError
from ...core.inputs import read_inputs
from ...core.records import Example, LLMReply, LLMRequest, Role
from ...core.section import unwritable
from ...store import check_writable
from ...training.adapters.storage import check_storage
from ...training.engines.choose import engine_name
from ...training.objectives import phases
from ...training.student.student import StudentInfo, inspect_student
from ..context.cast import Casting
from ..context.engine import engine_of
from ..context.models import simulated_models
from ..context.objective import objective_of
from ..context.plugs import Plugs
from ..context.scoring import scorer_key, scorers_of
from ..context.seats import ROLES, SeatSettings, seat_model, seat_setting, seats
from .student import check_student, check_student_endpoint


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks found out."""

    task: Task
    examples: list[Example]
    student: StudentInfo
    simulated: bool
    """Whether every large model that is asked is the simulated cast, embedded or served elsewhere."""
    plugs: Plugs = field(default_factory=Plugs)
    """The run's Python objects, loaded and tried."""
    duplicates: int = 0
    """Inputs that were left out since they stood there before."""
    notes: list[str] = field(default_factory=list)
    """What will go on, and should be known."""


def check(config: RunConfig, plugs: Plugs | None = None) -> Checked:
    """Check a configuration against the world, whom to pay last. Writes nothing but weights into the cache.

    Raises:
        OpenmicError: the first thing that is wrong, with exit code 2.
    """
    plugs = plugs or Plugs()
    examples, duplicates = read_inputs(config.inputs)
    task = plugs.task(config.task)
    task.check_inputs(config.inputs.field_names)
    task.functions.try_on(examples[0].value)
    check_writable(config.store_url)
    if config.storage_uri is not None:
        check_storage(config.storage_uri)
    if (problem := unwritable(config.home)) is not None:
        raise StoreError(f"home {str(config.home)!r} cannot be written: {problem}; set home")
    check_objective(config, plugs)
    check_engine(config, plugs)
    try_plugs(config, task, examples[0], plugs)
    student = inspect_student(config.student.model)
    notes = check_student(config, task, examples)
    return Checked(task, examples, student, check_cast(config, plugs), plugs, duplicates, notes)


def check_objective(config: RunConfig, plugs: Plugs) -> None:
    """Check that there is such an objective, and that it can be trained as configured.

    Raises:
        ConfigError: it is unknown, is no objective, or does not learn from what `training.train_every` counts.
    """
    settings = config.training
    needs = {objective_of(plugs, settings, phase.objective).needs for phase in phases(settings.objective)}
    if settings.train_every is not None and needs == {"demonstrations"}:
        raise ConfigError(
            f"training.train_every counts preferences, which {settings.objective!r} does not learn from; leave it out"
        )


def check_engine(config: RunConfig, plugs: Plugs, *, ask: bool = True) -> None:
    """Check that there is such an engine, and that it can generate as configured; a student's server is tried.

    Args:
        config: The configuration.
        plugs: The run's Python objects.
        ask: Whether a server is asked.

    Raises:
        ConfigError: it cannot be had, cannot generate with this student or with beams, or its server does not do.
        StudentError: there is no such student.
    """
    own = engine_of(plugs, config.student)
    if own is None:
        if engine_name(config.student) == "endpoint" and ask:
            check_student_endpoint(config)
        return
    beams = max(config.student.sampling.num_beams, config.evaluation.sampling.num_beams)
    if beams > 1 and not getattr(own, "beams", False):
        raise ConfigError(
            f"student.engine: {config.student.engine} has no beam search, and num_beams is {beams}; set "
            "student.sampling.num_beams and evaluation.sampling.num_beams to 1, or its attribute `beams` to True"
        )


def try_plugs(config: RunConfig, task: Task, example: Example, plugs: Plugs) -> None:
    """Import every Python object that plays a role or scores, and try those that can be tried on one input.

    Raises:
        ConfigError: one cannot be had, failed, or answered what it may not.
    """
    casting = Casting(config, task, _NobodyAsked(), plugs)
    run_to_end(partial(casting.try_on, example.value, (f"{example.text} Ha.", f"{example.text} So it goes.")))
    for place, scorer in enumerate(scorers_of(config.evaluation, plugs)):
        try:
            run_to_end(partial(scorer.check, example.value))
        except OpenmicError as error:
            raise ConfigError(f"{scorer_key(place)}, tried on the first input: {error}") from error


def check_cast(config: RunConfig, plugs: Plugs, *, roles: Sequence[Role] = ROLES) -> bool:
    """Check the models of these roles, and that they can be asked for verdicts as configured.

    Returns whether all that are asked are simulated casts; False where nobody is, or the judge is a Python object.

    Raises:
        TaskError: the task has no prompt for the style of verdict.
        ConfigError: a jury has more simulated members than there are simulated critics.
        EndpointSetupError: an endpoint is not there, lacks the model, or cannot score prompts where that is needed.
    """
    task = plugs.task(config.task)
    asked = {seat: settings for seat, settings in seats(config.cast, roles).items() if settings.asked}
    for role, place in asked:
        style = config.verdict.style
        task.template(role, "demonstrate" if role == "teacher" else style if style == "cloze" else PURPOSES[style])
        if (role, place) == ("critic", 0) and config.dialogue.max_revisions:
            task.template(role, "critique")
    found = [_check_seat(config, *seat, settings) for seat, settings in asked.items()]
    judged = "judge" not in roles or ("judge", 0) in asked
    return bool(found) and all(found) and judged


def _check_seat(config: RunConfig, role: Role, place: int, settings: SeatSettings) -> bool:
    """Check one model; returns whether it is a simulated cast's."""
    name, model = seat_setting((role, place)), seat_model((role, place), settings)
    if not settings.simulated:
        simulated = check_endpoint(name, settings)
        if config.verdict.style == "cloze" and role != "teacher":
            check_scores_prompts(name, settings)
        return simulated
    if model not in simulated_models():
        raise ConfigError(
            f"cast.{name}: the simulated cast has no {model}, only {', '.join(simulated_models())}; leave this "
            "juror out, or name another model"
        )
    return True


class _NobodyAsked(LLM):
    """Stands where Python objects alone are tried."""

    async def complete(self, request: LLMRequest) -> LLMReply:
        raise AssertionError("a Python object asked an endpoint")
