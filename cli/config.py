"""`openmic config`: what a configuration resolves to, and what it may hold."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from ..core.config import RunConfig
from ..core.config_file import load_config, stray_variables
from ..store import without_passwords
from .options import JsonOption, print_json

app = typer.Typer(
    help="Show the resolved configuration, or its JSON schema.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(
    config: Annotated[Path, typer.Argument(metavar="CONFIG")] = Path("examples/humor.yaml"),
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a configuration with every default, environment variable and override filled in; never a password.

    \b
    Example:
      openmic config show examples/humor.yaml --set rounds=2
    """
    for line in stray_variables():
        typer.echo(f"note: {line}", err=True)
    resolved = load_config(config, overrides or []).model_dump(mode="json")
    if resolved["store"] is not None:
        resolved["store"] = without_passwords(resolved["store"])
    if as_json:
        print_json(resolved)
    else:
        typer.echo(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def schema() -> None:
    """Print the configuration's JSON schema, with a description of every key.

    \b
    Example:
      openmic config schema > openmic.schema.json
    """
    print_json(RunConfig.model_json_schema())
