"""`openmic transcripts list`: the dialogues of a run, one line each."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ...core.records import Outcome, Split, Stage
from ...store import Dialogue, DialogueLine
from ...store.search.filters import DialogueOrder
from ...store.search.judged import outcomes_in, splits_of
from ...store.tags import tags_of
from ..options import JsonOption, RunArgument, StoreOption, print_json, read_store, store_flag
from ..report import report_console
from .choices import (
    AdapterOption,
    AgentOption,
    RoundOption,
    SplitOption,
    StageOption,
    StatusOption,
    StopOption,
    TagOption,
    TextOption,
    VerdictOption,
    filter_of,
    stage_of,
)
from .lines import LIST_WIDTH, BothEnds, cut_in_the_middle, one_line

ONE_LINE_EACH = 100
"""Columns from which on a dialogue is one line."""


def list_dialogues(
    run: RunArgument = "latest",
    stage: StageOption = None,
    split: SplitOption = None,
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
            split=split,
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
        splits = splits_of(reader, found, [line.dialogue.example_id for line in page])
        outcomes = outcomes_in(reader, [line.dialogue for line in page])
        holds_none = not page and not reader.count(Dialogue, run_id=found.id)
    if as_json:
        more_of = (
            {"split": splits.get(line.dialogue.example_id), "outcome": outcomes.get(line.dialogue.id)} for line in page
        )
        told = zip(page, more_of, strict=True)
        print_json([_line_json(line, tags.get(line.dialogue.id, [])) | facts for line, facts in told])
        return
    if page:
        _print_lines(page, tags, splits, outcomes)
    elif holds_none:
        source = found.source_run_id
        theirs = f"; it works with those of run {source}: openmic transcripts list {source}" if source else ""
        typer.echo(f"run {found.id} has no dialogues{theirs}{store_flag(reader.address) if source else ''}", err=True)
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


def _print_lines(
    lines: Sequence[DialogueLine],
    tags: Mapping[str, Sequence[str]],
    splits: Mapping[str, Split],
    outcomes: Mapping[str, Outcome],
) -> None:
    """One line each where there is room for the texts beside the rest, else two, the texts on the second."""
    console = report_console(soft_wrap=False, file_width=LIST_WIDTH)
    ends = {line.dialogue.id: one_line(_ended(line.dialogue, outcomes)) for line in lines}
    if console.width < ONE_LINE_EACH:
        for line in lines:
            dialogue, marks = line.dialogue, tags.get(line.dialogue.id, [])
            split = splits.get(dialogue.example_id, "")
            about = f"{_of(dialogue)} {split}" if dialogue.stage == Stage.EVALUATE else f"round {dialogue.round}"
            facts = [dialogue.id[:12], about, f"{line.turns} turns", ends[dialogue.id], *marks]
            console.print(Text(cut_in_the_middle("  ".join(facts), console.width), style="dim"))
            for text in (line.example_text, line.final_text or dialogue.error or ""):
                console.print(Text(f"  {cut_in_the_middle(one_line(text), console.width - 2)}"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("dialogue", style="dim", no_wrap=True)
    for heading in ("round", "turns"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("split", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    if tags:
        table.add_column("tags", style="cyan", no_wrap=True)
    for heading in ("input", "final text"):
        table.add_column(heading, ratio=1, no_wrap=True)
    for line in lines:
        dialogue = line.dialogue
        table.add_row(
            dialogue.id[:12],
            _of(dialogue),
            str(line.turns),
            splits.get(dialogue.example_id, ""),
            Text(ends[dialogue.id]),
            *([Text(one_line(", ".join(tags.get(dialogue.id, []))))] if tags else []),
            BothEnds(line.example_text),
            BothEnds(line.final_text or dialogue.error or ""),
        )
    console.print(table)


def _of(dialogue: Dialogue) -> str:
    """Its round; of an evaluation, the version of the student that it is about."""
    return f"v{dialogue.round}" if dialogue.stage == Stage.EVALUATE else str(dialogue.round)


def _ended(dialogue: Dialogue, outcomes: Mapping[str, Outcome]) -> str:
    """How a dialogue ended: of an evaluation, how its output fared."""
    return outcomes.get(dialogue.id) or dialogue.stop_reason or dialogue.status
