"""Options that several commands share, and opening the store they name."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.config import store_address
from ..core.errors import ConfigError
from ..core.files.examples import example_file
from ..core.section import from_home
from ..core.text import escaped
from ..store import Store, normalize_url, without_passwords

FINISHED_WITH_FAILURES = 3
OWN_CONFIGURATION = "openmic.yaml"
"""What `openmic init` calls the configuration, which commands take where none is given."""
ConfigurationArgument = Annotated[
    Path | None,
    typer.Argument(help="The configuration file. Default: openmic.yaml.", metavar="CONFIG", show_default=False),
]
ExampleOption = Annotated[
    str | None,
    typer.Option(
        "--example", metavar="NAME", help="One that ships, in place of a file: humor, support-tone, titles, klartext, …"
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="The store. Default: OPENMIC_STORE, else openmic-data/openmic.db."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
PageFormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="html|markdown|json", help="Default: by the file's ending, else markdown."),
]
PageOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it. Default: stdout.")]
PageJsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
OverridesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key, such as --set rounds=2. May be repeated."),
]
RunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help="A run's id, a unique beginning of it, or `latest`.")]

NoCheckOption = Annotated[
    bool, typer.Option("--no-check", help="Ask no endpoint beforehand whether it answers.", show_default=False)
]
PlainOption = Annotated[
    bool, typer.Option("--plain", help="Progress as lines, as in a log, also on a terminal.", show_default=False)
]


def configuration(given: Path | None, example: str | None) -> Path:
    """The configuration file that is meant: the one given, an example that ships, or `openmic.yaml` where it lies.

    Raises:
        ConfigError: none is given, or two are.
    """
    if example is not None:
        if given is not None:
            raise ConfigError(f"{given} and --example {example} are two configurations; give one of them")
        return example_file(example)
    if given is None and not Path(OWN_CONFIGURATION).exists():
        raise ConfigError(
            f"no configuration is given and there is no {OWN_CONFIGURATION} here; `openmic init` makes one, and "
            "`--example humor` needs none"
        )
    return Path(OWN_CONFIGURATION) if given is None else given


def home_expanded(path: Path | None) -> Path | None:
    """A path given to a command, a `~` replaced that the shell left in it, as in `--log=~/x`."""
    return None if path is None else Path(from_home(path))


def store_flag(url: str) -> str:
    """What a printed command needs so that it means this store; nothing where it would anyway."""
    normalized = normalize_url(url)
    return "" if normalize_url(store_address(None)) == normalized else f" --store {without_passwords(url)}"


def read_store(option: str | None) -> Store:
    """The store, for reading."""
    return Store.open_readonly(store_address(option))


def print_json(value: Any) -> None:
    """One JSON document on stdout; characters that it cannot have are escaped."""
    everything = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    typer.echo(escaped(json.dumps(value, ensure_ascii=not everything, indent=2)))


def exit_by_failures(failed: int) -> None:
    """End the command with the exit code that says some items failed, where some did."""
    if failed:
        raise typer.Exit(FINISHED_WITH_FAILURES)
