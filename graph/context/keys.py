"""The configuration's keys under which a Python object may stand, and what a configuration has there."""

from collections.abc import Mapping

from ...core.config import RunConfig
from ...core.errors import ConfigError
from .seats import seat_model, seat_setting, seats


def plug_keys(config: RunConfig) -> dict[str, str | None]:
    """What stands under each key where an object may: the `use` of an object, or None where something else stands.

    A judge that is the critic itself has no key: its object is the critic's.
    """
    cast = config.cast
    found: dict[str, str | None] = {"task": config.task}
    for seat, settings in seats(cast).items():
        if seat != ("judge", 0) or cast.judge is not None:
            found[f"cast.{seat_setting(seat)}"] = None if settings.plug is None else settings.plug.use
    for place, scorer in enumerate(config.evaluation.scorers):
        found[f"evaluation.scorers.{place}"] = scorer.use
    found["training.objective"] = config.training.objective if ":" in config.training.objective else None
    found["student.engine"] = config.student.engine if config.student.own_engine is not None else None
    return found


def refuse_unused(given: Mapping[str, object], config: RunConfig) -> None:
    """Make sure that each object that was given in Python stands where the configuration has one.

    Args:
        given: The objects by their configuration key.
        config: The run's.

    Raises:
        ConfigError: one would never be asked; the message says what is asked in its place.
    """
    keys = plug_keys(config)
    for key in given:
        if keys.get(key) is None:
            raise ConfigError(f"{key}: the object that was given would never be asked: {_in_place_of(key, config)}")


def _in_place_of(key: str, config: RunConfig) -> str:
    cast = config.cast
    if key == "cast.judge" and cast.judge is None:
        return "the critic itself judges in this run; give it as the critic, or start a run with cast.judge set"
    for seat, settings in seats(cast).items():
        if key == f"cast.{seat_setting(seat)}":
            return f"{seat_model(seat, settings)} plays this role in this run; leave it out, or start a run with it"
    if key == "training.objective":
        return f"this run's objective is {config.training.objective}; leave it out, or train with it anew"
    if key == "student.engine":
        return f"this run's engine is {config.student.engine}; leave it out, or start a run with it"
    if key.startswith("evaluation.scorers."):
        return f"this run has {len(config.evaluation.scorers)} scorers; leave it out, or start a run with it"
    return f"there is no such key; objects stand under {', '.join(plug_keys(config))}"
