"""Which large models a cast has: one for each role, and for the critic's a jury beside it."""

from collections.abc import Sequence

from ...core.config import CastSettings, EndpointSettings
from ...core.records import Role

ROLES: tuple[Role, ...] = ("teacher", "critic", "judge")

Seat = tuple[Role, int]
"""A role, and which of its models: 0 the role's own, further ones its jury's."""


def seats(cast: CastSettings, roles: Sequence[Role] = ROLES) -> dict[Seat, EndpointSettings]:
    """The endpoint of every model of these roles."""
    found: dict[Seat, EndpointSettings] = {(role, 0): cast.endpoint(role) for role in roles}
    if "critic" in roles:
        found |= {("critic", place): juror for place, juror in enumerate(cast.jury, start=1)}
    return found


def seat_setting(member: Seat) -> str:
    """Where in the configuration's section `cast` a member is set."""
    role, place = member
    return role if place == 0 else f"jury.{place - 1}"


def seat_model(member: Seat, endpoint: EndpointSettings) -> str:
    """The model's name as its endpoint knows it. The simulated cast has critics of different taste for a jury."""
    role, place = member
    if not endpoint.simulated:
        return endpoint.model
    return f"sim-{role}" if place == 0 else f"sim-{role}-{place + 1}"
