"""Seats of a cast: one for each role, one for held-out references, and the jury's beside the critic."""

from collections.abc import Sequence
from typing import Any

from ...core.config import SIMULATED_PREFIX, CastSettings, CriticSettings, EvaluationSettings, TeacherSettings
from ...core.records import Role

ROLES: tuple[Role, ...] = ("teacher", "critic", "judge")
REFERENCES = 1
"""The teacher's second seat: whoever writes held-out references, where that is somebody else."""

Seat = tuple[Role, int]
"""A role, and which of its seats: 0 the role's own, further ones its jury's, of the teacher the references'."""
SeatSettings = TeacherSettings | CriticSettings


def examiners(settings: EvaluationSettings) -> tuple[Role, ...]:
    """The roles that an evaluation asks."""
    writes: tuple[Role, ...] = ("teacher",) if settings.speaker == "teacher" else ()
    chooses: tuple[Role, ...] = ("critic",) if settings.critic or settings.best_of > 1 else ()
    return (*writes, *chooses, "judge")


def seats(cast: CastSettings, roles: Sequence[Role] = ROLES) -> dict[Seat, SeatSettings]:
    """Who sits on every seat of these roles."""
    found: dict[Seat, SeatSettings] = {(role, 0): cast.member(role) for role in roles}
    if "teacher" in roles and cast.references is not None:
        found["teacher", REFERENCES] = cast.references
    if "critic" in roles:
        found |= {("critic", place): juror for place, juror in enumerate(cast.jury, start=1)}
    return found


def seat_setting(seat: Seat) -> str:
    """Where in the configuration's section `cast` a seat is set."""
    role, place = seat
    if place == 0:
        return role
    return "references" if role == "teacher" else f"jury.{place - 1}"


def seat_model(seat: Seat, settings: SeatSettings) -> str:
    """Who sits there by name: the model as its endpoint knows it, a Python object's path, or a file.

    The simulated cast has critics of different taste for a jury.
    """
    role, place = seat
    if settings.plug is not None:
        return settings.plug.use
    if isinstance(settings, TeacherSettings) and settings.demonstrations is not None:
        return str(settings.demonstrations)
    if not settings.simulated:
        return settings.model
    name = f"{SIMULATED_PREFIX}{role}"
    return name if place == 0 or role == "teacher" else f"{name}-{place + 1}"


def seat_names(cast: CastSettings) -> dict[str, Any]:
    """Who plays each role, by name; under `jury` the list of the jurors' if there are any."""
    names = {seat: seat_model(seat, settings) for seat, settings in seats(cast).items()}
    found: dict[str, Any] = {role: names[role, 0] for role in ROLES}
    if ("teacher", REFERENCES) in names:
        found["references"] = names["teacher", REFERENCES]
    jury = [name for (role, place), name in names.items() if role == "critic" and place > 0]
    return found | ({"jury": jury} if jury else {})


def cast_record(cast: CastSettings, *, simulated: bool) -> dict[str, Any]:
    """What a run records of its cast: names, whether all are simulated, and whether the judge is the critic."""
    return {"simulated": simulated, "judge_is_critic": cast.judge_is_critic, **seat_names(cast)}
