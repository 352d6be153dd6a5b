"""`openmic graph`: the two state machines, drawn."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Draw the state machines.", no_args_is_help=True, rich_markup_mode=None)


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
        Path | None, typer.Option("--output", "-o", help="Also draw a picture: a .png, .svg or .pdf file.")
    ] = None,
) -> None:
    """Print a state machine as Mermaid, and draw it as a picture. Needs no network.

    \b
    Examples:
      openmic graph draw dialogue
      openmic graph draw campaign --output campaign.svg
    """
    from ..graph.draw import mermaid, picture

    typer.echo(mermaid(machine.value))
    if output is not None:
        picture(machine.value, output)
        typer.echo(f"drawn to {output}", err=True)
