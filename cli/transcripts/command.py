"""The subcommands of `openmic transcripts`."""

import typer

from .diff import diff
from .explain import explain
from .export import export_rows
from .list import list_dialogues
from .search import search_texts
from .show import show
from .tag import tag

app = typer.Typer(
    help="List, read, search, compare, explain and export the conversations of a run.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("list")(list_dialogues)
app.command()(show)
app.command("search")(search_texts)
app.command()(diff)
app.command()(explain)
app.command()(tag)
app.command("export")(export_rows)
