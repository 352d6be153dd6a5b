"""The objective of a run's trainings: one that ships, or one of the user's own."""

from collections.abc import Sequence

from ...core.plugs import Plug, describe_object
from ...core.records import TrainingExample
from ...core.training_settings import TrainingSettings, staleness_limit
from ...training.loop.job import TrainingPhase
from ...training.objectives import OBJECTIVES, Objective, as_objective, phases
from .plugs import Plugs
from .run_context import RunContext
from .sending import Sent, pickled

KEY = "training.objective"
_THERE = "the trainer's process"


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
        if (given := plugs.given(KEY)) is not None:
            pickled(given, KEY, phase.objective, _THERE)


def learns_from_demonstrations(plugs: Plugs, settings: TrainingSettings) -> bool:
    """Whether the objective learns from the teacher's texts alone, and so from what was learned from before.

    Raises:
        ConfigError: as `objective_of`.
    """
    needs = {objective_of(plugs, settings, phase.objective).needs for phase in phases(settings.objective)}
    return needs == {"demonstrations"}


def learns_from_drafts(plugs: Plugs, settings: TrainingSettings) -> bool:
    """Whether the objective learns from the student's drafts and the teacher's log-probabilities of them.

    Raises:
        ConfigError: as `objective_of`.
    """
    return any(objective_of(plugs, settings, phase.objective).needs == "drafts" for phase in phases(settings.objective))


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
    """A phase as the trainer is asked for it.

    An objective that was given in Python goes along by its value.

    Raises:
        ConfigError: it cannot be pickled.
    """
    if name in OBJECTIVES:
        return TrainingPhase(name, tuple(examples))
    given = context.plugs.given(KEY)
    if given is None:
        return TrainingPhase(name, tuple(examples), context.config.training.objective_kwargs)
    sent, source = Sent(pickled(given, KEY, name, _THERE)), describe_object(given)["source_hash"]
    return TrainingPhase(name, tuple(examples), given=sent, source_hash=source)
