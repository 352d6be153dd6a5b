"""The large models for the time of a run: a client for each, and a simulated cast started where one is asked for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from ...agents.endpoints.client import OpenAIClient
from ...core.config import CastSettings
from ...core.records import Role
from ...simulator import SimulatedCast, SimulatorSettings
from .seats import ROLES, Seat, seat_model, seats


def model_names(cast: CastSettings) -> dict[str, Any]:
    """Which model plays each role, as its endpoint knows it; under `jury` the list of the jurors' if there are any."""
    names = {member: seat_model(member, endpoint) for member, endpoint in seats(cast).items()}
    jury = [name for (_, place), name in names.items() if place > 0]
    return {role: names[role, 0] for role in ROLES} | ({"jury": jury} if jury else {})


@asynccontextmanager
async def open_models(
    cast: CastSettings, seed: int, log: Path, *, roles: Sequence[Role] = ROLES
) -> AsyncIterator[Mapping[Seat, OpenAIClient]]:
    """A client for each model of these roles; the simulated cast is a process of its own and is ended with the block.

    Raises:
        EndpointSetupError: the simulated cast does not start.
    """
    async with AsyncExitStack() as stack:
        wanted, simulated_url = seats(cast, roles), None
        if any(endpoint.simulated for endpoint in wanted.values()):
            settings = SimulatorSettings(seed=seed, **cast.simulated.model_dump())
            simulated_url = stack.enter_context(SimulatedCast(settings, log=log)).base_url
        clients: dict[Seat, OpenAIClient] = {}
        for member, endpoint in wanted.items():
            known = endpoint.model_copy(update={"model": seat_model(member, endpoint)})
            clients[member] = OpenAIClient(known, base_url=simulated_url if endpoint.simulated else None)
            stack.push_async_callback(clients[member].close)
        yield clients
