"""The large models for the time of a run: a client per role, and a simulated cast started where one is asked for."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ..agents.openai_client import OpenAIClient
from ..agents.simulated import SimulatedCast, SimulatorSettings
from ..core.config import CastSettings
from ..core.records import Role
from .preflight import ROLES


def model_names(cast: CastSettings) -> dict[Role, str]:
    """Which model plays each role, as the endpoint knows it."""
    return {role: f"sim-{role}" if (e := cast.endpoint(role)).simulated else e.model for role in ROLES}


@asynccontextmanager
async def open_cast(cast: CastSettings, seed: int, log: Path) -> AsyncIterator[Mapping[Role, OpenAIClient]]:
    """A client for each role; the simulated cast runs as a process of its own and is ended with the block.

    Raises:
        EndpointSetupError: the simulated cast does not start.
    """
    async with AsyncExitStack() as stack:
        simulated_url = None
        if any(cast.endpoint(role).simulated for role in ROLES):
            settings = SimulatorSettings(seed=seed, **cast.simulated.model_dump())
            simulated_url = stack.enter_context(SimulatedCast(settings, log=log)).base_url
        clients: dict[Role, OpenAIClient] = {}
        for role in ROLES:
            endpoint = cast.endpoint(role)
            url = simulated_url if endpoint.simulated else None
            known = endpoint.model_copy(update={"model": model_names(cast)[role]})
            clients[role] = OpenAIClient(known, base_url=url)
        try:
            yield clients
        finally:
            for client in clients.values():
                await client.close()
