"""Large models for the time of a run: a client for each, and the simulated cast where asked for.

The one place in production that imports the simulator.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ...agents.endpoints.access import endpoint_url
from ...agents.endpoints.client import OpenAIClient
from ...agents.endpoints.gate import Tell, unheard
from ...agents.endpoints.known import Known
from ...agents.endpoints.options import RequestOptions
from ...core.concurrency import beside
from ...core.config import CastSettings
from ...core.errors import EndpointLostError
from ...core.records import Role
from ...simulator import SimulatedCast, SimulatorSettings
from ...simulator.prompts import read_source
from ...simulator.skills import MODELS, SKILLS
from .seats import ROLES, Seat, seat_model, seats

LOOK_S = 0.2
"""How often it is looked whether the simulated cast's process is there."""


@asynccontextmanager
async def open_models(
    cast: CastSettings,
    seed: int,
    log: Path,
    *,
    roles: Sequence[Role] = ROLES,
    tell: Tell = unheard,
    samples: int = 1,
    simulated_url: str | None = None,
) -> AsyncIterator[Mapping[Seat, OpenAIClient]]:
    """Open a client for each endpoint of these roles; the simulated cast's process ends with the block.

    Seats that share an endpoint's model share what is found out about it.

    Args:
        cast: Who plays each role.
        seed: The run's, which is the simulated cast's too unless that has one.
        log: Where the simulated cast writes down what it was asked.
        roles: Whose seats.
        tell: Where lines about endpoints go.
        samples: As `verdict.samples`, for those lines.
        simulated_url: Where another process has the simulated cast already. None: it is started here.

    Raises:
        EndpointLostError: the simulated cast does not start.
    """
    async with AsyncExitStack() as stack:
        asked = {seat: settings for seat, settings in seats(cast, roles).items() if settings.asked}
        if simulated_url is None and any(settings.simulated for settings in asked.values()):
            simulator = SimulatorSettings(**{**cast.simulated.model_dump(), "seed": simulated_seed(cast, seed)})
            simulated = stack.enter_context(SimulatedCast(simulator, log=log))
            simulated_url = simulated.base_url
            await stack.enter_async_context(_kept_alive(simulated, tell))
        clients: dict[Seat, OpenAIClient] = {}
        known: dict[tuple[str, ...], Known] = {}
        for seat, settings in asked.items():
            named = settings.model_copy(update={"model": seat_model(seat, settings)})
            url = simulated_url if settings.simulated else endpoint_url(settings)
            same = (url or "", named.model, named.api_key_env, *map(str, (named.headers, named.query)))
            shared = known.setdefault(same, Known(RequestOptions(same[0])))
            base_url = simulated_url if settings.simulated else None
            clients[seat] = OpenAIClient(named, base_url=base_url, known=shared, tell=tell, samples=samples)
            stack.push_async_callback(clients[seat].close)
        yield clients


def simulated_seed(cast: CastSettings, seed: int) -> int:
    """The seed of the simulated cast in a run of this seed."""
    return seed if cast.simulated.seed is None else cast.simulated.seed


@asynccontextmanager
async def _kept_alive(cast: SimulatedCast, tell: Tell) -> AsyncIterator[None]:
    """Start the simulated cast again whenever its process ends within the block; calls wait for it meanwhile."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if (code := cast.ended) is None:
                continue
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            restarting = asyncio.create_task(asyncio.to_thread(cast.restart))
            try:
                await asyncio.shield(restarting)
            except EndpointLostError as error:
                tell(f"the simulated cast ended {how} and cannot be started again: {error}")
                return
            except asyncio.CancelledError:
                await asyncio.wait([restarting])  # a process that starts now has to be ended, too
                raise
            tell(f"the simulated cast ended {how}, and was started again")

    async with beside(keep()):
        yield


def simulated_models() -> tuple[str, ...]:
    """The models that the simulated cast has, by the names its server lists."""
    return tuple(MODELS)


def simulated_tasks() -> dict[str, str]:
    """The tasks that the simulated cast knows, each with the tag that it knows it by."""
    return {skill.task: skill.tag for skill in SKILLS}


def simulated_task_of(prompt: str) -> str | None:
    """Which of its tasks the simulated cast takes a prompt for; None where it can make nothing of it."""
    skill, _ = read_source(prompt)
    return None if skill is None else skill.task
