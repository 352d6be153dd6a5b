"""The objective of a run's trainings: one that ships, or one of the user's own."""

from collections.abc import Sequence

from ...core.errors import ConfigError
from ...core.plugs import Plug
from ...core.records import TrainingExample
from ...core.training_settings import TrainingSettings, staleness_limit
from ...training.loop.job import TrainingPhase
from ...training.objectives import OBJECTIVES, Objective, as_objective, phases
from .plugs import Plugs
from .run_context import RunContext

KEY = "training.objective"


def objective_of(plugs: Plugs, settings: TrainingSettings, name: str) -> Objective:
    """The objective that a phase names.

    Raises:
        ConfigError: it is the user's own, and cannot be had or is no objective.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    found = as_objective(plugs.load(KEY, Plug(use=name, kwargs=settings.objective_kwargs)), where=KEY)
    plugs.note(KEY, staleness_tolerant=found.staleness_tolerant)  # for those who read the run and cannot load it
    return found


def try_own_objective(plugs: Plugs, settings: TrainingSettings) -> None:
    """Try the user's own objective, and whether it can be sent to the trainer's process.

    Raises:
        ConfigError: as `objective_of`; or it fails on made-up rows, or cannot be pickled.
    """
    from ...training.objectives.trial import try_objective

    for phase in phases(settings.objective):
        if phase.objective in OBJECTIVES:
            continue
        found = objective_of(plugs, settings, phase.objective)
        try_objective(found, settings, where=f"{KEY} {phase.objective}")
        if plugs.given(KEY) is not None:
            _refuse_unpicklable(phase.objective, found)


def _refuse_unpicklable(name: str, objective: Objective) -> None:
    from ray import cloudpickle

    try:
        cloudpickle.dumps(objective)  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    except Exception as error:  # what stands in the way is anybody's
        raise ConfigError(
            f"{KEY}: {name} cannot be sent to the trainer's process ({type(error).__name__}: {error}); have it make "
            "what cannot be pickled when it is called, or put it into a module and name it as module:attribute"
        ) from error


def learns_from_demonstrations(plugs: Plugs, settings: TrainingSettings) -> bool:
    """Whether the objective learns from the teacher's texts alone, and so from what was learned from before.

    Raises:
        ConfigError: as `objective_of`.
    """
    needs = {objective_of(plugs, settings, phase.objective).needs for phase in phases(settings.objective)}
    return needs == {"demonstrations"}


def max_staleness(plugs: Plugs, settings: TrainingSettings) -> int | None:
    """Promoted versions a text's writer may be behind for it to be trained on; None for any.

    Raises:
        ConfigError: as `objective_of`.
    """
    tolerant = all(
        objective_of(plugs, settings, phase.objective).staleness_tolerant for phase in phases(settings.objective)
    )
    return staleness_limit(settings.max_staleness, tolerant=tolerant)


def training_phase(context: RunContext, name: str, examples: Sequence[TrainingExample]) -> TrainingPhase:
    """A phase as the trainer is asked for it: an objective that was given in Python goes along with it."""
    given = None if name in OBJECTIVES else context.plugs.given(KEY)
    kwargs = None if name in OBJECTIVES or given is not None else context.config.training.objective_kwargs
    return TrainingPhase(name, tuple(examples), kwargs, given)
