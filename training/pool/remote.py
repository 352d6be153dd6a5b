"""Awaiting calls to Ray actors, with Ray's many exceptions made into the few that matter here."""

import asyncio
from typing import Any

from ...core.errors import OpenmicError


class ActorLostError(Exception):
    """The actor's process ended, or cannot be reached; what it was doing may or may not have been done."""

    def __init__(self, why: str, *, for_good: bool, start_failed: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good
        """Whether Ray will not start it again."""
        self.start_failed = start_failed
        """Whether that is so because its constructor or its environment failed."""


async def call(reference: Any, failure: type[OpenmicError]) -> Any:
    """Await a call. What openmic raised in the actor is raised here as it was; other exceptions become `failure`.

    A caller that is cancelled cancels the call.

    Raises:
        ActorLostError: there is no answer because the actor is gone.
    """
    import ray
    from ray.exceptions import ActorDiedError, RayError, RayTaskError, RuntimeEnvSetupError

    try:
        return await reference
    except asyncio.CancelledError:
        if ray.is_initialized():
            ray.cancel(reference)
        raise
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, OpenmicError):
            raise cause from None
        raise failure(f"{type(cause).__name__}: {cause}") from error
    except RayError as error:
        init_failed = bool(getattr(error, "actor_init_failed", False))
        start_failed = init_failed or isinstance(error, RuntimeEnvSetupError)
        # Of an actor that it will start again, Ray says that it is unavailable.
        for_good = start_failed or isinstance(error, ActorDiedError)
        lines = str(error).strip().splitlines()
        # Of an actor that could not start Ray gives the traceback, and its last line says why.
        why = f"the actor's process ended: {lines[-1] if init_failed else lines[0]}"
        raise ActorLostError(why, for_good=for_good, start_failed=start_failed) from error


def end(actor: Any) -> None:
    """End an actor's process at once, not to be started again."""
    import ray

    if ray.is_initialized():
        ray.kill(actor)
