"""`openmic transcripts diff`: two dialogues, or two adapter versions on one input, side by side."""

from itertools import zip_longest
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import select
from sqlmodel import col

from ...core.errors import ConfigError, NotFoundError
from ...core.records import Agent, Stage, TurnKind
from ...core.text import printable
from ...core.word_diff import word_diff
from ...store import Conversation, Dialogue, ExampleRow, Store, Turn
from ..options import JsonOption, StoreOption, print_json, read_store
from ..report import report_console
from .choices import resolve_dialogue
from .colours import changes, colour_of
from .conversation import conversation_json
from .lines import LIST_WIDTH, one_line
from .verdict import VerdictPrinter


def diff(
    first: Annotated[str | None, typer.Argument(metavar="[A]", help="A dialogue's id or a beginning of it.")] = None,
    second: Annotated[str | None, typer.Argument(metavar="[B]", help="Another dialogue.")] = None,
    adapters: Annotated[
        tuple[int, int] | None,
        typer.Option("--adapters", metavar="V1 V2", help="Compare what two versions said in their evaluations."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--input", help="With --adapters: the input's id, a beginning of it, or words in it."),
    ] = None,
    run: Annotated[str, typer.Option(help="With --adapters: whose versions.")] = "latest",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two dialogues side by side, or what two adapter versions made of the same input.

    \b
    Examples:
      openmic transcripts diff 3f9a1c 81bb02
      openmic transcripts diff --adapters 1 2 --input kettle
    """
    with read_store(store) as reader:
        if adapters is not None and first is None and second is None:
            names = _of_versions(reader, reader.resolve_run(run).id, adapters, text)
        elif first is not None and second is not None and adapters is None and text is None:
            names = [resolve_dialogue(reader, name).id for name in (first, second)]
        else:
            raise ConfigError("name two dialogues, or give --adapters V1 V2 (and --input) and no dialogue")
        left, right = (reader.conversation(name) for name in names)
    if as_json:
        print_json(_as_json(left, right))
    else:
        _print(report_console(soft_wrap=False, file_width=LIST_WIDTH), left, right)


def _of_versions(reader: Store, run_id: str, versions: tuple[int, int], text: str | None) -> list[str]:
    """The evaluation dialogues of two versions about one input: the first that both were judged on."""
    spoken = {version: _evaluated(reader, run_id, version) for version in versions}
    for version, found in spoken.items():
        if not found:
            raise NotFoundError(
                f"no evaluation of adapter version {version} in run {run_id}: `openmic evaluate` makes one"
            )
    both = [example for example in spoken[versions[0]] if example in spoken[versions[1]]]
    inputs = {example.id: example.text for example in reader.select(ExampleRow, id=both)}
    wanted = [example for example in both if text is None or _is_meant(example, inputs[example], text)]
    if not wanted:
        listed = "; ".join(f"{example[:12]} {one_line(inputs[example])}" for example in both[:8])
        raise NotFoundError(f"no input that both versions were judged on is {text!r}; there are {listed or 'none'}")
    return [spoken[version][wanted[0]] for version in versions]


def _evaluated(reader: Store, run_id: str, version: int) -> dict[str, str]:
    """The dialogue of each input that a version was judged on, in the order they were begun."""
    statement = (
        select(col(Dialogue.example_id), col(Dialogue.id))
        .join(Turn, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(
            col(Dialogue.run_id) == run_id,
            col(Dialogue.stage) == Stage.EVALUATE,
            col(Turn.run_id) == run_id,
            col(Turn.agent) == Agent.STUDENT,
            col(Turn.adapter_version) == version,
        )
        .order_by(col(Dialogue.started_at), col(Dialogue.id))
    )
    return {row[0]: row[1] for row in reader.rows(statement)}


def _is_meant(example_id: str, text: str, wanted: str) -> bool:
    return example_id.startswith(wanted.lower()) or wanted.casefold() in text.casefold()


def _arrived_at(conversation: Conversation) -> str:
    """The text a dialogue arrived at, or the last that was written in it."""
    texts = [
        turn for turn in conversation.turns if turn.kind not in {TurnKind.VERDICT, TurnKind.CRITIQUE, TurnKind.LOGPROBS}
    ]
    final = [turn for turn in texts if turn.id == conversation.dialogue.final_turn_id]
    return (final or texts)[-1].content if texts else ""


def _as_json(left: Conversation, right: Conversation) -> dict[str, Any]:
    pieces = word_diff(_arrived_at(left), _arrived_at(right))
    return {
        "a": conversation_json(left),
        "b": conversation_json(right),
        "diff": [{"text": piece.text, "kind": piece.kind} for piece in pieces],
    }


def _print(console: Console, left: Conversation, right: Conversation) -> None:
    if left.example.id == right.example.id:
        console.print(Text.assemble(("input  ", "bold"), printable(left.example.text)))
    table = Table(box=None, expand=True, padding=(0, 3, 0, 0), header_style="")
    for name, side in (("A ", left), ("B ", right)):
        table.add_column(Text(name, style="bold") + _heading(side), ratio=1, overflow="fold")
    if left.example.id != right.example.id:
        table.add_row(*(Text.assemble(("input  ", "bold"), printable(side.example.text)) for side in (left, right)))
    for cells in zip_longest(_cells(left), _cells(right), fillvalue=Text()):
        table.add_row(*cells)
    table.add_row(*(_ending(side) for side in (left, right)))
    console.print(table)
    console.print()
    console.print(Text("A → B  ", style="bold") + changes(console, _arrived_at(left), _arrived_at(right)))


def _heading(side: Conversation) -> Text:
    dialogue = side.dialogue
    versions = sorted({turn.adapter_version for turn in side.turns if turn.adapter_version is not None})
    adapter = ", ".join(f"v{version}" for version in versions) or "no student"
    return Text.assemble(
        (f"{dialogue.id[:12]}", "bold"), (f"  {dialogue.stage} · round {dialogue.round} · {adapter}", "dim")
    )


def _cells(side: Conversation) -> list[Text]:
    """Everything that was said, a verdict's replies as one."""
    printer = VerdictPrinter(side)
    verdicts = {verdict.forward_turn_id: verdict for verdict in side.verdicts}
    inside = {ballot.turn_id for ballot in side.ballots} | {verdict.reverse_turn_id for verdict in side.verdicts}
    cells = []
    for turn in side.turns:
        if turn.id in verdicts:
            shown = printer.shown(verdicts[turn.id])
            head, body = f"verdict  {shown.about}", Text("\n").join(shown.lines)
        elif turn.id in inside:
            continue
        else:
            head, body = turn.kind.value, Text(printable(turn.content) or "(nothing)")
        who = Text.assemble(
            (f"#{turn.seq + 1} ", "dim"), (f"{turn.agent} ", f"bold {colour_of(turn.agent)}"), (head, "dim")
        )
        cells.append(Text("\n").join([who, body, Text()]))
    return cells


def _ending(side: Conversation) -> Text:
    ending = side.dialogue.stop_reason or side.dialogue.error or "still under way"
    return Text.assemble(("ended  ", "bold"), printable(ending))
