"""`openmic config`: what a configuration resolves to, and what it may hold."""

from typing import Annotated

import typer
import yaml

from ...core.config import RunConfig
from ...core.config_file import load_config, stray_variables
from ...store import without_passwords
from ..options import ConfigurationArgument, ExampleOption, JsonOption, configuration, print_json

app = typer.Typer(
    help="Show the resolved configuration, or its JSON schema.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command()
def show(
    given: ConfigurationArgument = None,
    example: ExampleOption = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a configuration with every default, environment variable and override filled in; never a password.

    \b
    Examples:
      openmic config show openmic.yaml --set rounds=2
      openmic config show --example humor
    """
    for line in stray_variables():
        typer.echo(f"note: {line}", err=True)
    resolved = load_config(configuration(given, example), overrides or []).model_dump(mode="json")
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
