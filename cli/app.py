"""The `openmic` command: its subcommands, and how errors become messages and exit codes."""

import codecs
import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from .. import __version__
from ..core.concurrency import ENDING_SIGNALS
from ..core.endpoints.secrets import hidden
from ..core.errors import InterruptedRunError, OpenmicError, told_of_disk
from ..core.text import printable
from .chat import chat
from .config import app as config_app
from .db import app as db_app
from .evaluate import evaluate
from .graph import app as graph_app
from .ratings import ratings
from .rejudge import rejudge
from .run import resume, run
from .simulate import FAULTS, simulate
from .status import status
from .task import app as task_app
from .train import train
from .transcripts import app as transcripts_app
from .view import view

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


class _Commands(TyperGroup):
    """The commands; an interrupt that none of them has taken up itself ends as one that had nothing to store."""

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
    "Start with: openmic run examples/humor.yaml",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(resume)
app.command()(status)
app.add_typer(transcripts_app, name="transcripts")
app.command()(view)
app.command()(ratings)
app.command()(train)
app.command()(evaluate)
app.command()(rejudge)
app.command()(chat)
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")
app.add_typer(task_app, name="task")
app.add_typer(graph_app, name="graph")
app.command(epilog=FAULTS)(simulate)


def _version(wanted: bool) -> None:
    if wanted:
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
