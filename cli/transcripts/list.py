"""`openmic transcripts list`: the dialogues of a run, one line each."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ...store import DialogueLine
from ...store.search.filters import DialogueOrder
from ...store.tags import tags_of
from ..options import JsonOption, RunArgument, StoreOption, print_json, read_store
from ..report import report_console
from .choices import (
    AdapterOption,
    AgentOption,
    RoundOption,
    StageOption,
    StatusOption,
    StopOption,
    TagOption,
    TextOption,
    VerdictOption,
    filter_of,
    stage_of,
)
from .lines import LIST_WIDTH, BothEnds, one_line


def list_dialogues(
    run: RunArgument = "latest",
    stage: StageOption = None,
    round_number: RoundOption = None,
    agent: AgentOption = None,
    adapter: AdapterOption = None,
    status: StatusOption = None,
    stop_reason: StopOption = None,
    verdict: VerdictOption = None,
    tag: TagOption = None,
    text: TextOption = None,
    sort: Annotated[DialogueOrder, typer.Option(help="What to sort by; with - the other way round.")] = "started",
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many to list.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this dialogue: the next page.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the dialogues of a run, one line each. All filters that are given must be met.

    \b
    Examples:
      openmic transcripts list
      openmic transcripts list latest --stop-reason "revision accepted" -n 50
      openmic transcripts list --stage evaluate --adapter 2 --verdict loss
      openmic transcripts list --agent teacher --text "burned toast" --sort -turns
    """
    with read_store(store) as reader:
        found = reader.resolve_run(run)
        wanted = filter_of(
            stage=stage_of(stage, found),
            round_number=round_number,
            status=status,
            stop_reason=stop_reason,
            agent=agent,
            adapter=adapter,
            verdict=verdict,
            tag=tag,
            text=text,
        )
        last = reader.resolve_dialogue(after, found.id).id if after else None
        lines = reader.dialogues(found.id, wanted, order=sort, limit=number + 1, after=last)
        page, more = lines[:number], len(lines) > number
        tags = tags_of(reader, [line.dialogue.id for line in page])
    if as_json:
        print_json([_line_json(line, tags.get(line.dialogue.id, [])) for line in page])
        return
    if page:
        _print_lines(page, tags)
    else:
        where = f" among those of stage {wanted.stage}: --stage all looks at the others too" if wanted.stage else ""
        typer.echo(f"no dialogue matches{where}", err=True)
    if more:
        typer.echo(f"more: add --after {page[-1].dialogue.id[:12]}", err=True)


def _line_json(line: DialogueLine, tags: list[str]) -> dict[str, Any]:
    dialogue = line.dialogue
    return {
        "dialogue": dialogue.id,
        "stage": dialogue.stage,
        "round": dialogue.round,
        "status": dialogue.status,
        "stop_reason": dialogue.stop_reason,
        "error": dialogue.error,
        "turns": line.turns,
        "tags": tags,
        "input": line.example_text,
        "final": line.final_text,
    }


def _print_lines(lines: list[DialogueLine], tags: dict[str, list[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("dialogue", style="dim", no_wrap=True)
    for heading in ("round", "turns"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("ended", no_wrap=True)
    if tags:
        table.add_column("tags", style="cyan", no_wrap=True)
    for heading in ("input", "final text"):
        table.add_column(heading, ratio=1, no_wrap=True)
    for line in lines:
        dialogue = line.dialogue
        table.add_row(
            dialogue.id[:12],
            str(dialogue.round),
            str(line.turns),
            Text(one_line(dialogue.stop_reason or dialogue.status)),
            *([Text(one_line(", ".join(tags.get(dialogue.id, []))))] if tags else []),
            BothEnds(line.example_text),
            BothEnds(line.final_text or dialogue.error or ""),
        )
    report_console(soft_wrap=False, file_width=LIST_WIDTH).print(table)
