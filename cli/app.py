"""The `openmic` command: its subcommands, and how errors become messages and exit codes."""

import codecs
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from ..core.concurrency import ENDING_SIGNALS
from ..core.endpoints.secrets import hidden
from ..core.errors import InterruptedRunError, OpenmicError, told_of_disk
from ..core.text import printable

_LIKE = {
    "…": "...",
    "·": "-",
    "\N{EN DASH}": "-",
    "—": "-",
    "→": "->",
    "\N{MULTIPLICATION SIGN}": "x",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""What of our own words an ASCII terminal lacks."""
EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 finished with failures, 4 budget spent (resumable with "
    "more), 130 interrupted (resumable)."
)


COMMANDS = {
    "init": "Begin a project: configuration, task, sample inputs.",
    "run": "Teach a student: the whole loop, from inputs to a report.",
    "resume": "Go on with a run that was interrupted or failed.",
    "runs": "List the runs of a store, the newest first.",
    "compare": "Compare runs: what differs, and what one gains.",
    "status": "Show where a run stands and what its adapters achieved.",
    "transcripts": "List, read, search, explain and export what was said.",
    "view": "Look at runs in a web browser, while they go on too.",
    "ratings": "Compare people's blind ratings with critic and judge.",
    "train": "Train from a run's stored transcripts alone.",
    "evaluate": "Judge a run's adapters on its test inputs.",
    "rejudge": "Have another critic judge a run's stored comparisons again.",
    "critic-card": "See how far a critic agrees with people.",
    "experiment": "Carry out arms and seeds from one file: one table.",
    "report": "Report on a run or an experiment: HTML, Markdown or JSON.",
    "chat": "Have the student answer, with the adapter it has learned.",
    "serve": "Serve the student over OpenAI's API.",
    "model": "Hand a student on: merged weights, GGUF, a hub.",
    "config": "Show the resolved configuration, or its JSON schema.",
    "db": "Look after the store: where it is, backups, checks.",
    "task": "List the tasks that ship, print a task file, or check one.",
    "graph": "Draw the state machines.",
    "simulate": "Serve a simulated teacher, critic and judge over HTTP.",
}
"""What there is, in the order of the help, each in the module of its name: a function of that name, or an `app`."""
_ELSEWHERE = {
    "compare": "experiments.compare",
    "config": "configuration.config",
    "critic-card": "card.command",
    "experiment": "experiments.experiment",
    "init": "configuration.init",
    "model": "models.model",
    "report": "experiments.report",
    "resume": "run",
    "serve": "models.serve",
    "transcripts": "transcripts.command",
}
"""Commands that stand in another module."""


class _Commands(TyperGroup):
    """The commands, each imported when it is first asked for: help and completion answer at once.

    An interrupt that none of them has taken up itself ends as one that had nothing to store.
    """

    def __init__(self, **settings: Any) -> None:
        """Know all commands by their names and what they do."""
        told = {name: TyperCommand(name, help=what) for name, what in COMMANDS.items()}
        super().__init__(**settings | {"commands": told})
        self._loaded = dict[str, Any]()
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with all its options; None where there is none of that name."""
        if self._listing or cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        if cmd_name not in self._loaded:
            self._loaded[cmd_name] = _load(cmd_name)
        return self._loaded[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write into the help what each command does."""
        with self._names_alone():
            super().format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """What begins so."""
        with self._names_alone():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _names_alone(self) -> Iterator[None]:
        self._listing = True
        try:
            yield
        finally:
            self._listing = False

    def invoke(self, ctx: Any) -> Any:
        """Carry a command out."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise InterruptedRunError("interrupted") from None


app = typer.Typer(
    name="openmic",
    cls=_Commands,
    help="Feedback-driven distillation: a large language model teaches a small one, and is its critic.\n\n"
    "Start with: openmic run --example humor",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _load(name: str) -> Any:
    module = import_module(f".{_ELSEWHERE.get(name, name)}", __package__)
    found = getattr(module, "app", None)
    if found is None:
        found = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        found.command(name, epilog=getattr(module, "EPILOG", None))(getattr(module, name.replace("-", "_")))
    command = get_command(found)
    command.name = name
    return command


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"openmic {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


def _print_whatever_the_terminal_shows() -> None:
    """Have what a terminal cannot show replaced: a character outside its encoding must not end a run."""
    codecs.register_error("openmic", _in_its_encoding)
    for stream, errors in ((sys.stdout, "openmic"), (sys.stderr, "openmic"), (sys.stdin, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _in_its_encoding(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that cannot be encoded: their like in ASCII, else their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    told = "".join(_LIKE.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lost)
    return told, error.end


def _end_by_signals_as_by_ctrl_c() -> None:
    """SIGTERM, and SIGHUP of a terminal that was closed, are interrupts, at whatever moment they come."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for number in ENDING_SIGNALS:
        with suppress(ValueError):  # in a thread it is not ours to set
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has SIGHUP ignored
                signal.signal(number, interrupt)


def main() -> None:
    """Run the command line; an error a person can mend is one message on stderr and its exit code."""
    os.umask(0o077)  # what is written holds what people and models said
    _print_whatever_the_terminal_shows()
    _end_by_signals_as_by_ctrl_c()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except OpenmicError as error:
        from rich.console import Console
        from rich.markup import escape

        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(printable(hidden(str(error))))}", highlight=False
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        told = told_of_disk(error)
        if told is None:
            raise
        typer.echo(f"error: {printable(told)}", err=True)
        sys.exit(OpenmicError.exit_code)
