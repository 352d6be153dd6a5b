"""Limits of endpoints, shared out among the workers that hold dialogues: together they keep what one driver would."""

from typing import TypeVar

from ...core.config import CastSettings, EndpointSettings, RunConfig
from ...core.errors import ConfigError
from ...core.records import Role
from .plugs import Plugs
from .seats import REFERENCES, Seat, SeatSettings, seat_setting, seats
from .sending import pickled

ASKED_BY_WORKERS: tuple[Role, ...] = ("teacher", "critic")
"""Whom dialogues ask; evaluations, which ask the judge, are the driver's."""
THERE = "the dialogue workers' processes"
_LIMITS = ("max_concurrency", "requests_per_minute", "tokens_per_minute")
_S = TypeVar("_S", bound=EndpointSettings)


def share_of(cast: CastSettings, place: int, workers: int) -> CastSettings:
    """A cast with one worker's share of every limit that dialogues meet; all shares add up to the limits."""
    shared = {
        "teacher": _share(cast.teacher, place, workers),
        "critic": _share(cast.critic, place, workers),
        "jury": tuple(_share(juror, place, workers) for juror in cast.jury),
    }
    return cast.model_copy(update=shared)


def _share(settings: _S, place: int, workers: int) -> _S:
    limits = {name: limit for name in _LIMITS if (limit := getattr(settings, name)) is not None}
    return settings.model_copy(
        update={name: limit // workers + (place < limit % workers) for name, limit in limits.items()}
    )


def check_workers(config: RunConfig, plugs: Plugs) -> None:
    """Check that several workers can be given what they need: a share of every limit, and Python objects.

    Raises:
        ConfigError: a limit is smaller than the number of workers, or an object cannot be pickled.
    """
    workers = config.dialogue.workers
    if workers == 1:
        return
    for seat, settings in _asked(config.cast).items():
        for name in _LIMITS if settings.asked else ():
            if (limit := getattr(settings, name)) is not None and limit < workers:
                raise ConfigError(
                    f"cast.{seat_setting(seat)}.{name}={limit} cannot be shared out among dialogue.workers={workers}; "
                    "raise it, or have fewer workers"
                )
    objects_to_send(config, plugs)


def objects_to_send(config: RunConfig, plugs: Plugs) -> dict[str, bytes]:
    """The task, and the objects given in Python that dialogues ask, pickled by their configuration key.

    Objects that the configuration can name are imported by the workers themselves.

    Raises:
        ConfigError: one cannot be pickled.
    """
    keys = [f"cast.{seat_setting(seat)}" for seat in _asked(config.cast)]
    given = {key: found for key in keys if (found := plugs.given(key)) is not None}
    found = {"task": plugs.task(config.task), **given}
    return {key: pickled(one, key, type(one).__name__, THERE) for key, one in found.items()}


def _asked(cast: CastSettings) -> dict[Seat, SeatSettings]:
    """Who is asked in dialogues; held-out references are written before there is any."""
    found = seats(cast, ASKED_BY_WORKERS)
    found.pop(("teacher", REFERENCES), None)
    return found
