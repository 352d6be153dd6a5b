"""Whether other people's objects can do their part, each tried once before anything is paid for."""

from collections.abc import Sequence
from functools import partial

from ...agents.llm import LLM
from ...agents.tasks.task import Task
from ...core.concurrency import run_to_end
from ...core.config import RunConfig, TeacherSettings
from ...core.errors import ConfigError, OpenmicError
from ...core.inputs import demonstrated, known_outputs
from ...core.records import Example, LLMReply, LLMRequest, Role, Split
from ...training.engines.choose import engine_name
from ..context.cast import Casting
from ..context.engine import engine_of
from ..context.objective import learns_from_demonstrations, learns_from_drafts, try_own_objective
from ..context.plugs import Plugs
from ..context.scoring import scorer_key, scorers_of
from ..context.seats import REFERENCES, ROLES, seat_setting, seats
from .student import check_student_endpoint


def check_objective(config: RunConfig, plugs: Plugs) -> None:
    """Check that there is such an objective, and that it can be trained as configured.

    Raises:
        ConfigError: it is unknown, is no objective, fails on made-up rows, cannot be sent to the trainer, or does not
            learn from what `training.train_every` counts.
    """
    settings = config.training
    if learns_from_drafts(plugs, settings) and not settings.from_drafts:
        raise ConfigError(
            f"training.objective {settings.objective} needs drafts with the teacher's log-probabilities, which a run "
            "has scored for opd alone; give it examples in Python (openmic.train), or take opd"
        )
    if settings.train_every is not None and (settings.from_drafts or learns_from_demonstrations(plugs, settings)):
        raise ConfigError(
            f"training.train_every counts preferences, which {settings.objective!r} does not learn from; leave it out"
        )
    try_own_objective(plugs, settings)


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


def try_plugs(
    config: RunConfig,
    task: Task,
    example: Example,
    plugs: Plugs,
    *,
    roles: Sequence[Role] = ROLES,
    scorers: bool = True,
) -> None:
    """Import every Python object of these roles, and scorers, and try each on one input.

    Raises:
        ConfigError: one cannot be had, failed, or answered what it may not.
    """
    casting = Casting(config, task, NobodyAsked(), plugs)
    run_to_end(partial(casting.try_on, example.value, (f"{example.text} Ha.", f"{example.text} So it goes."), roles))
    if not scorers:
        return
    for place, scorer in enumerate(scorers_of(config.evaluation, plugs)):
        try:
            run_to_end(partial(scorer.check, example.value))
        except OpenmicError as error:
            raise ConfigError(f"{scorer_key(place)}, tried on the first input: {error}") from error


def check_demonstrations(config: RunConfig, examples: Sequence[Example]) -> list[str]:
    """Check that a file of demonstrations has some for the inputs that there are.

    Returns:
        A line for each split of which some inputs have none.

    Raises:
        InputError: a file cannot be read.
        ConfigError: there is none for any training input, or none for any held-out one of a split.
    """
    notes = []
    for seat, settings in seats(config.cast, ("teacher",)).items():
        if not isinstance(settings, TeacherSettings) or settings.demonstrations is None:
            continue
        key = f"cast.{seat_setting(seat)}.demonstrations"
        known = demonstrated(settings, key)
        for split in _demonstrated_splits(config, seat[1]):
            inputs = [example for example in examples if example.split is split]
            limit = config.imitation.inputs if split is Split.TRAIN else config.evaluation.limit(split)
            inputs = inputs[:limit]
            lacking = [example for example in inputs if not known_outputs(known, example.value)]
            if not lacking:
                continue
            what = f"{key}: {settings.demonstrations} has no output for"
            if len(lacking) == len(inputs) and (split is not Split.DEV or config.rounds):
                raise ConfigError(
                    f"{what} any of the {len(inputs)} {split} inputs, such as {lacking[0].text[:60]!r}; rows are "
                    f"matched by their {settings.input_field!r}, which has to say the same as the input"
                )
            notes.append(f"{what} {len(lacking)} of {len(inputs)} {split} inputs, such as {lacking[0].text[:60]!r}")
    return notes


def _demonstrated_splits(config: RunConfig, place: int) -> tuple[Split, ...]:
    """The splits whose inputs a teacher's seat writes for."""
    held_out = (Split.DEV, Split.TEST)
    if place == REFERENCES:
        return held_out
    return (Split.TRAIN,) if config.cast.references is not None else (Split.TRAIN, *held_out)


class NobodyAsked(LLM):
    """Stands where Python objects alone are tried."""

    async def complete(self, request: LLMRequest) -> LLMReply:
        """Nothing is to come here."""
        raise AssertionError("a Python object asked an endpoint")
