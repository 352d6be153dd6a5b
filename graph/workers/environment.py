"""The environment's variables that workers need: Ray may have been started by somebody else, with others."""

import os

from ...agents.endpoints.access import named_variables
from ...core.config import RunConfig
from ..context.seats import seats
from ..context.shares import ASKED_BY_WORKERS

_ALWAYS = (
    *("OPENAI_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *(name for proxy in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{proxy}_PROXY", f"{proxy}_PROXY".lower())),
)


def environment_of(config: RunConfig) -> dict[str, str | None]:
    """What endpoints and stores are reached by, as it is here; None where it is not set. Holds secrets."""
    names = {*_ALWAYS, *(name for name in os.environ if name.startswith("PG"))}  # PGPASSWORD, PGSSLMODE and their likes
    for settings in seats(config.cast, ASKED_BY_WORKERS).values():
        if settings.asked:
            names |= named_variables(settings)
    if config.student.endpoint is not None:
        names.add(config.student.endpoint.api_key_env)
    return {name: os.environ.get(name) for name in sorted(names)}
