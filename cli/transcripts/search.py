"""`openmic transcripts search`: words in what was said."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ...core.errors import ConfigError
from ...core.text import printable
from ...store.lineage.turn_names import resolve_turn
from ...store.search.search import SearchHit, search
from ..options import JsonOption, StoreOption, print_json, read_store
from ..report import report_console
from .colours import colour_of, colourless


def search_texts(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help='Words, and phrases in "double quotes".')],
    run: Annotated[str | None, typer.Option(help="Only this run: its id, a beginning of it, or `latest`.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many hits.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after the hit with this turn: the next page.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search what was said, and what it was said about. A hit holds all the words; the best come first.

    \b
    Examples:
      openmic transcripts search kettle
      openmic transcripts search '"burned the toast"' alarm --run latest -n 5
    """
    query = " ".join(words)
    if not query.strip():
        raise ConfigError("nothing to search for: give a word")
    with read_store(store) as reader:
        run_id = reader.resolve_run(run).id if run is not None else None
        last = resolve_turn(reader, after).id if after is not None else None
        hits = search(reader, query, run_id=run_id, limit=number + 1, after=last)
    page, more = hits[:number], len(hits) > number
    if as_json:
        print_json([_hit_json(hit) for hit in page])
        return
    if not page:
        typer.echo("nothing matches", err=True)
        return
    console = report_console(soft_wrap=False)
    for hit in page:
        _print_hit(console, hit)
    if more:
        typer.echo(f"more: add --after '{_place(page[-1])}'", err=True)


def _place(hit: SearchHit) -> str:
    return f"{hit.dialogue.id[:12]}#{hit.turn.seq + 1}"


def _print_hit(console: Console, hit: SearchHit) -> None:
    turn, dialogue = hit.turn, hit.dialogue
    line = Text.assemble((_place(hit), "bold"), "  ", (turn.agent.value, colour_of(turn.agent)))
    about = f"{turn.kind} · {dialogue.stage} · round {dialogue.round} · run {turn.run_id}"
    line.append(f" {about}" + (" · in its input" if hit.in_input else ""), style="dim")
    console.print(line)
    console.print(Padding(_highlighted(console, hit.snippet), (0, 0, 0, 5)))


def _highlighted(console: Console, pieces: list[tuple[str, bool]]) -> Text:
    """The passage; where there are no colours, what matched stands in »marks«."""
    text = Text()
    for piece, matched in pieces:
        shown = " ".join(printable(piece).split("\n"))
        if matched and colourless(console):
            shown = f"»{shown}«"
        text.append(shown, style="bold black on yellow" if matched else "")
    return text


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    turn = hit.turn
    return {
        "turn": turn.id,
        "dialogue": turn.dialogue_id,
        "place": turn.seq + 1,
        "run": turn.run_id,
        "stage": hit.dialogue.stage,
        "round": hit.dialogue.round,
        "agent": turn.agent,
        "kind": turn.kind,
        "in_input": hit.in_input,
        "input": hit.example_text,
        "content": turn.content,
        "snippet": [{"text": text, "matched": matched} for text, matched in hit.snippet],
    }
