"""Everything that can be known to be wrong before anything is loaded, paid for or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...agents.endpoints.check import check_endpoint, check_scores_prompts, check_takes_batches
from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.errors import ConfigError, StoreError
from ...core.inputs import read_inputs
from ...core.records import Example, Role
from ...core.section import unwritable
from ...store import check_writable
from ...training.adapters.storage import check_storage
from ...training.local_ray import runs_here
from ...training.student.device import check_device
from ...training.student.student import StudentInfo, inspect_student
from ..context.keys import refuse_unused
from ..context.models import simulated_models
from ..context.plugs import Plugs
from ..context.prices import check_priced
from ..context.seats import ROLES, Seat, SeatSettings, seat_model, seat_setting, seats
from ..context.shares import check_workers
from ..tracking.trackers import check_trackers
from .drafts import check_teacher_tokens, refuse_drafts
from .estimate import Sizing, budget_notes, estimate
from .forecast import forecast_of
from .idle_settings import idle_settings
from .objects import check_demonstrations, check_engine, check_objective, try_plugs
from .simulated import check_simulated_task, prompts_asked, simulated_task_notes
from .student import check_student, check_student_vllm

WAY = {"model", "base_url", "api_key_env", "timeout_s", "headers", "query", "extra_body", "reasoning_effort", "batch"}
"""What an endpoint's answer to a tiny chat depends on."""


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
    estimate: dict[str, Any] = field(default_factory=dict)
    """What the run will take of large models, as `estimate` gives it."""
    forecast: dict[str, Any] = field(default_factory=dict)
    """How long it will take and what bounds it, as `forecast_of` gives it."""


def check(
    config: RunConfig,
    plugs: Plugs | None = None,
    *,
    cluster: str | None = None,
    ask: bool = True,
    assumed: Mapping[str, float] | None = None,
    source: str | None = None,
) -> Checked:
    """Check a configuration against the world, whom to pay last. Writes nothing but weights into the cache.

    Args:
        config: The configuration.
        plugs: Python objects that were given beside it.
        cluster: The address of the Ray cluster that is to carry it out, as for `ray_session`.
        ask: Whether endpoints and servers are asked; one that is not is taken to be no simulated cast.
        assumed: Figures that the forecast rests on, by name, in place of what is assumed.
        source: An earlier run whose figures it takes before others'.

    Raises:
        OpenmicError: the first thing that is wrong, with exit code 2.
    """
    plugs = plugs or Plugs()
    examples, duplicates = read_inputs(config.inputs)
    task = plugs.task(config.task)
    task.check_inputs(config.inputs.field_names)
    task.functions.try_on(examples[0].value)
    check_writable(config.store_url)
    check_trackers(config.tracking)
    if config.storage_uri is not None:
        check_storage(config.storage_uri)
    if (problem := unwritable(config.home)) is not None:
        raise StoreError(f"home {str(config.home)!r} cannot be written: {problem}; set home")
    check_device(config.student.device, "student.device", here=runs_here(cluster))
    refuse_unused(plugs.all_given, config)
    check_priced(config)
    check_objective(config, plugs)
    notes = idle_settings(config) + simulated_task_notes(config, task) + refuse_drafts(config)
    check_engine(config, plugs, ask=ask)
    notes += check_demonstrations(config, examples)
    try_plugs(config, task, examples[0], plugs)
    check_workers(config, plugs)
    student = inspect_student(config.student)
    notes += check_student(config, task, examples)
    sizing = Sizing(config, task, examples)
    estimated = estimate(config, sizing)
    foreseen = forecast_of(config, sizing, assumed, source=source)
    notes += budget_notes(config, estimated, foreseen)
    simulated = check_cast(config, plugs, ask=ask)
    notes += check_teacher_tokens(config, ask=ask)
    notes += check_student_vllm(config, here=runs_here(cluster), ask=ask)  # the last, as it takes a minute
    return Checked(task, examples, student, simulated, plugs, duplicates, notes, estimated, foreseen)


def check_cast(config: RunConfig, plugs: Plugs, *, roles: Sequence[Role] = ROLES, ask: bool = True) -> bool:
    """Check the models of these roles, and that they can be asked for verdicts as configured.

    Returns whether all that are asked are simulated casts; False where nobody is, or the judge is a Python object.

    Raises:
        TaskError: the task has no prompt for the style of verdict.
        ConfigError: a jury has more simulated members than there are simulated critics, or the simulated cast does not
            know the task.
        EndpointSetupError: an endpoint is not there, lacks the model, or has no batches or scores where it needs them.
    """
    task = plugs.task(config.task)
    asked = {seat: settings for seat, settings in seats(config.cast, roles).items() if settings.asked}
    check_simulated_task(config, task, [seat for seat, settings in asked.items() if settings.simulated])
    for seat in asked:
        for purpose in prompts_asked(config, seat):
            task.template(seat[0], purpose)
    found, known = dict[Seat, bool](), dict[str, bool]()
    for seat, settings in asked.items():
        # Of seats that ask one model in one way the first stands for all.
        way = f"{settings.model_dump_json(include=WAY)} {seat[0] == 'teacher'}"
        if settings.simulated or way not in known:
            known[way] = _check_seat(config, *seat, settings, ask=ask)
        found[seat] = known[way]
    check_simulated_task(config, task, [seat for seat, simulated in found.items() if simulated])
    judged = "judge" not in roles or ("judge", 0) in asked
    return bool(found) and all(found.values()) and judged


def _check_seat(config: RunConfig, role: Role, place: int, settings: SeatSettings, *, ask: bool) -> bool:
    """Check one model; returns whether it is a simulated cast's."""
    name, model = seat_setting((role, place)), seat_model((role, place), settings)
    if role == "judge" and config.cast.judge is None:
        name = "critic"  # whose settings they are
    if settings.batch and settings.simulated:
        raise ConfigError(
            f"cast.{name}.batch: the simulated cast takes no batches; leave it out, or name another model"
        )
    if not settings.simulated and not ask:
        return False
    if not settings.simulated:
        simulated = check_endpoint(name, settings)
        if config.verdict.style == "cloze" and role != "teacher":
            check_scores_prompts(name, settings)
        if settings.batch:
            check_takes_batches(name, settings)
        return simulated
    if model not in simulated_models():
        raise ConfigError(
            f"cast.{name}: the simulated cast has no {model}, only {', '.join(simulated_models())}; leave this "
            "juror out, or name another model"
        )
    return True
