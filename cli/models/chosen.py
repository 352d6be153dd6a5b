"""What `RUN[:vN]` means."""

import re
from typing import Annotated, Literal, NamedTuple

import typer

from ...core.errors import ConfigError

StudentArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN[:vN]",
        help="A run's id, a unique beginning of it, or `latest`, and an adapter's version. Default: the last promoted.",
        show_default=False,
    ),
]
_FORM = re.compile(r"(?P<run>[^:]+)(?::(?:v?(?P<version>\d+)|(?P<promoted>promoted)))?")


class Chosen(NamedTuple):
    """A run, and which version of its student."""

    run: str
    version: int | Literal["promoted"]
    named: bool
    """Whether the version was named."""


def chosen(text: str) -> Chosen:
    """What was meant.

    Raises:
        ConfigError: it is neither a run nor a run with a version.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no run with a version; give RUN or RUN:vN, such as latest or latest:v2")
    version = found["version"]
    return Chosen(found["run"], "promoted" if version is None else int(version), bool(version or found["promoted"]))
