"""One dialogue as a person likes to read it, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlmodel import SQLModel

from ...core.records import TurnKind
from ...core.text import printable
from ...store import Conversation, LLMCall, Turn
from ...store.reading import Messages, Reader
from .colours import changes, colour_of
from .lines import one_line
from .verdict import VerdictPrinter

SIDE_BY_SIDE = 100
"""Columns from which on a critique stands beside what it criticises."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What models were asked in a conversation."""

    calls: dict[str, LLMCall]
    """Those to large models, with their replies, by their keys."""
    prompts: dict[str, Messages]
    """The messages that were sent, by their hashes."""

    @classmethod
    def of(cls, reader: Reader, conversation: Conversation) -> Self:
        """Read what was asked in a conversation."""
        keys = {turn.request_key for turn in conversation.turns if turn.request_key is not None}
        calls = reader.select(LLMCall, run_id=conversation.run.id, key=list(keys))
        prompts = reader.prompts(turn.prompt_hash for turn in conversation.turns)
        return cls({call.key: call for call in calls}, prompts)


def print_conversation(
    console: Console, conversation: Conversation, *, tags: Sequence[str] = (), requests: Requests | None = None
) -> None:
    """The whole conversation, each turn with its number, its speaker and what came of it.

    Args:
        console: Where to.
        conversation: What.
        tags: The dialogue's.
        requests: What was asked in it, to print requests and raw replies too; None for neither.
    """
    dialogue, run = conversation.dialogue, conversation.run
    console.print(Text(f"dialogue {dialogue.id}", style="bold"))
    stage = f"round {dialogue.round}" if dialogue.stage == "collect" else f"{dialogue.stage}, round {dialogue.round}"
    cast = "simulated cast" if run.cast.get("simulated") else "models " + one_line(str(run.cast["teacher"]))
    console.print(Text(f"run {run.id} · {stage} · {cast} · {dialogue.status}", style="dim"))
    if tags:
        console.print(Text.assemble(("tags ", "dim"), (one_line(", ".join(tags)), "cyan")))
    console.print()
    console.print(Text.assemble(("input  ", "bold"), printable(conversation.example.text)))
    _Printer(console, conversation, requests).print_turns()
    console.print()
    ending = dialogue.stop_reason or dialogue.error or "still under way"
    console.print(Text.assemble(("ended  ", "bold"), printable(ending)))


class _Printer:
    def __init__(self, console: Console, conversation: Conversation, requests: Requests | None) -> None:
        self._console = console
        self._conversation = conversation
        self._requests = requests
        self._turns = {turn.id: turn for turn in conversation.turns}
        self._verdicts = {verdict.forward_turn_id: verdict for verdict in conversation.verdicts}
        self._with_a_verdict = {ballot.turn_id for ballot in conversation.ballots}
        self._with_a_verdict |= {verdict.reverse_turn_id for verdict in conversation.verdicts}
        self._critiques = {critique.turn_id: critique for critique in conversation.critiques}
        self._verdict_printer = VerdictPrinter(conversation)

    def print_turns(self) -> None:
        for turn in self._conversation.turns:
            if turn.id in self._verdicts:
                said = self._verdict_printer.shown(self._verdicts[turn.id])
                self._print_speaker(turn, "verdict", said.about)
                for line in said.lines:
                    self._print_indented(line)
            elif turn.id not in self._with_a_verdict:
                self._print_turn(turn)
            if self._requests is not None:
                self._print_raw(turn, self._requests)

    def _print_turn(self, turn: Turn) -> None:
        self._print_speaker(turn, turn.kind.value, self._about(turn))
        parent = self._turns.get(turn.parent_turn_id or "")
        if turn.kind is TurnKind.CRITIQUE and parent is not None:
            self._print_beside(parent, self._critique(turn))
        elif turn.kind is TurnKind.REVISION and parent is not None:
            self._print_revision(parent, turn)
        else:
            self._print_indented(Text(printable(turn.content) or "(nothing)"))
        if turn.note:
            said = "set aside" if turn.agent in {"student", "teacher"} else "note"
            self._print_indented(Text(f"{said}: {printable(turn.note)}", style="dim red"))

    def _critique(self, turn: Turn) -> Text:
        critique = self._critiques.get(turn.id)
        if critique is None or not critique.parse_ok:
            return Text(printable(turn.content) or "(nothing)")
        parts = (("works", critique.works), ("missing", critique.missing), ("try", critique.suggestion))
        return Text("\n").join(Text.assemble((f"{label:<8}", "dim"), printable(text)) for label, text in parts)

    def _print_beside(self, criticised: Turn, critique: Text) -> None:
        """The critique beside the text it is about, where there is room for both."""
        if self._console.width < SIDE_BY_SIDE or not self._console.is_terminal:
            self._print_indented(critique)
            return
        table = Table.grid(expand=True, padding=(0, 3, 0, 0))
        table.add_column(ratio=2)
        table.add_column(ratio=3)
        shown = Text.assemble((f"#{criticised.seq + 1} ", "dim"), printable(criticised.content), style="italic")
        table.add_row(shown, critique)
        self._print_indented(table)

    def _print_revision(self, before: Turn, after: Turn) -> None:
        """The new text, and what of the old one was changed."""
        self._print_indented(Text(printable(after.content) or "(nothing)"))
        if before.content == after.content:
            self._print_indented(Text("nothing was changed", style="dim"))
        else:
            label = Text(f"#{before.seq + 1} → #{after.seq + 1}  ", style="dim")
            self._print_indented(label + changes(self._console, before.content, after.content))

    def _print_raw(self, turn: Turn, requests: Requests) -> None:
        if turn.request_key is None:
            self._print_indented(Text(f"no request: {one_line(turn.model)} is no model that is asked", style="dim"))
            return
        call = requests.calls.get(turn.request_key)
        own = {"id": turn.request_key, "sampling": turn.sampling, "seed": turn.seed} if call is None else call.request
        asked = {"messages": requests.prompts.get(turn.prompt_hash or ""), **own}
        for label, value in (("request", asked), ("reply", turn.raw if call is None else call.reply["raw"])):
            text = json.dumps(value, ensure_ascii=False, indent=2)
            self._print_indented(Text(f"{label} {printable(text)}", style="dim"))

    def _print_speaker(self, turn: Turn, what: str, detail: str) -> None:
        self._console.print()
        line = Text.assemble((f"#{turn.seq + 1:<3}", "dim"), (f"{turn.agent} ", f"bold {colour_of(turn.agent)}"), what)
        line.append(f"  {printable(detail)}", style="dim")
        self._console.print(line)

    def _print_indented(self, shown: RenderableType) -> None:
        self._console.print(Padding(shown, (0, 0, 0, 5)))

    def _about(self, turn: Turn) -> str:
        parent = self._turns.get(turn.parent_turn_id or "")
        answers = turn.kind in {TurnKind.CRITIQUE, TurnKind.REVISION} and parent is not None
        about = f"of #{parent.seq + 1}" if answers and parent is not None else ""
        adapter = f"adapter v{turn.adapter_version}" if turn.adapter_version is not None else turn.model
        return " · ".join(part for part in (about, adapter) if part)


def conversation_json(
    conversation: Conversation, *, tags: Sequence[str] = (), requests: Requests | None = None
) -> dict[str, Any]:
    """Everything the store knows of a dialogue."""
    rows: dict[str, Sequence[SQLModel]] = {
        "turns": conversation.turns,
        "verdicts": conversation.verdicts,
        "ballots": conversation.ballots,
        "quoted": conversation.quoted,
        "critiques": conversation.critiques,
        "preferences": conversation.preferences,
        **({} if requests is None else {"calls": list(requests.calls.values())}),
    }
    prompts = {} if requests is None else {"prompts": requests.prompts}
    return {
        "run": conversation.run.id,
        "input": conversation.example.text,
        "tags": list(tags),
        "dialogue": conversation.dialogue.model_dump(mode="json"),
        **{name: [row.model_dump(mode="json") for row in found] for name, found in rows.items()},
        **prompts,
    }
