"""`openmic graph`: the two state machines, drawn."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConfigError
from .options import home_expanded

app = typer.Typer(help="Draw the state machines.", no_args_is_help=True, rich_markup_mode=None, add_completion=False)


class Machine(StrEnum):
    """Which state machine."""

    DIALOGUE = "dialogue"
    CAMPAIGN = "campaign"


@app.callback()
def _graph() -> None:
    """Draw the state machines."""


@app.command()
def draw(
    machine: Annotated[Machine, typer.Argument(help="Which state machine.")] = Machine.CAMPAIGN,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", callback=home_expanded, help="Write it to this file instead of printing it."),
    ] = None,
) -> None:
    """Draw a state machine as Mermaid, which GitHub, GitLab and many editors show as a picture.

    \b
    Examples:
      openmic graph draw dialogue
      openmic graph draw campaign --output campaign.mmd
    """
    from ..graph.draw import mermaid

    drawn = mermaid(machine.value)
    if output is None:
        typer.echo(drawn)
        return
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the graph cannot be written to {str(output)!r}: {error.strerror}") from None
    typer.echo(f"drawn to {output}", err=True)
