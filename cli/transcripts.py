"""`openmic transcripts`: what was said, by whom, and what came of it."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..core.records import Stage
from ..core.text import printable
from ..store import Dialogue, DialogueLine, Store
from ..store.tables import RunKind
from .conversation import conversation_json, print_conversation
from .options import JsonOption, RunArgument, StoreOption, print_json, read_store
from .report import report_console

LIST_WIDTH = 200
"""Columns of a list that is written to a file or a pipe."""

GAP = " … "

app = typer.Typer(help="List and read the conversations of a run.", no_args_is_help=True, rich_markup_mode=None)


class Status(StrEnum):
    """How a dialogue stands."""

    FINISHED = "finished"
    FAILED = "failed"
    PENDING = "pending"


MAIN_STAGE: dict[RunKind, Stage] = {
    "campaign": Stage.REHEARSE,
    "rejudge": Stage.REJUDGE,
    "train": Stage.EVALUATE,
}
"""The dialogues a run is about, by what it does."""


@app.command("list")
def list_dialogues(
    run: RunArgument = "latest",
    stage: Annotated[
        Stage | None, typer.Option(help="What the dialogues were held for. Default: what the run is about.")
    ] = None,
    round_number: Annotated[int | None, typer.Option("--round", help="Only this round.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only dialogues that stand so.")] = None,
    stop_reason: Annotated[str | None, typer.Option(help="Only dialogues that ended for this reason.")] = None,
    text: Annotated[str | None, typer.Option(help="Only dialogues in which this was said.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many to list.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this dialogue: the next page.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the dialogues of a run, one line each.

    \b
    Examples:
      openmic transcripts list
      openmic transcripts list latest --stop-reason "revision accepted" -n 50
      openmic transcripts list --stage evaluate --round 2 --text toast
    """
    with read_store(store) as reader:
        found = reader.resolve_run(run)
        lines = reader.dialogues(
            found.id,
            stage=stage or MAIN_STAGE[found.kind],
            round=round_number,
            status=status.value if status else None,
            stop_reason=stop_reason,
            text=text,
            limit=number + 1,
            after=reader.resolve_dialogue(after, found.id).id if after else None,
        )
    page, more = lines[:number], len(lines) > number
    if as_json:
        print_json([_line_json(line) for line in page])
        return
    _print_lines(page)
    if more:
        typer.echo(f"more: add --after {page[-1].dialogue.id[:12]}", err=True)


@app.command()
def show(
    dialogue: Annotated[
        str, typer.Argument(metavar="[DIALOGUE]", help="A dialogue's id, a unique beginning of it, or `latest`.")
    ] = "latest",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dialogue: who said what, the critique beside what it criticises, the verdicts of both orders.

    \b
    Examples:
      openmic transcripts show latest
      openmic transcripts show 3f9a1c --json
    """
    with read_store(store) as reader:
        conversation = reader.conversation(_resolve(reader, dialogue).id)
    if as_json:
        print_json(conversation_json(conversation))
    else:
        print_conversation(conversation)


def _resolve(reader: Store, name: str) -> Dialogue:
    """`latest` is the last critique-and-revise dialogue of the last run, where there is one."""
    if name != "latest":
        return reader.resolve_dialogue(name)
    run = reader.resolve_run("latest")
    held = reader.select(
        Dialogue, run_id=run.id, stage=Stage.REHEARSE, status="finished", order_by="-finished_at", limit=1
    )
    return held[0] if held else reader.resolve_dialogue("latest", run.id)


def _line_json(line: DialogueLine) -> dict[str, Any]:
    dialogue = line.dialogue
    return {
        "dialogue": dialogue.id,
        "stage": dialogue.stage,
        "round": dialogue.round,
        "status": dialogue.status,
        "stop_reason": dialogue.stop_reason,
        "error": dialogue.error,
        "turns": line.turns,
        "input": line.example_text,
        "final": line.final_text,
    }


def _print_lines(lines: list[DialogueLine]) -> None:
    if not lines:
        typer.echo("no dialogue matches", err=True)
        return
    console = report_console(soft_wrap=False, file_width=LIST_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for heading, style in (("dialogue", "dim"), ("round", ""), ("turns", ""), ("ended", "")):
        table.add_column(
            heading, style=style, no_wrap=True, justify="right" if heading in {"round", "turns"} else "left"
        )
    for heading in ("input", "final text"):
        table.add_column(heading, ratio=1, no_wrap=True)
    for line in lines:
        dialogue = line.dialogue
        table.add_row(
            dialogue.id[:12],
            str(dialogue.round),
            str(line.turns),
            dialogue.stop_reason or dialogue.status,
            _BothEnds(line.example_text),
            _BothEnds(line.final_text or dialogue.error or ""),
        )
    console.print(table)


class _BothEnds:
    """A text on one line that loses its middle where there is no room for it all: a joke is at its end."""

    def __init__(self, text: str) -> None:
        self._text = " ".join(printable(text).split())

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(1, cell_len(self._text)), cell_len(self._text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(cut_in_the_middle(self._text, options.max_width), no_wrap=True, overflow="ellipsis")


def cut_in_the_middle(text: str, width: int) -> str:
    """The text, or its beginning and its end with an ellipsis between them, in at most so many terminal columns."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(GAP)
    if room < 2:
        return set_cell_size(text, width)
    head = set_cell_size(text, room // 2).rstrip()
    tail = text
    while cell_len(tail) > room - room // 2:
        tail = tail[1:]
    return f"{head}{GAP}{tail.lstrip()}"
