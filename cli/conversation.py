"""One dialogue as a person likes to read it, and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from sqlmodel import SQLModel

from ..core.records import Agent, TurnKind
from ..core.text import printable
from ..store import Conversation, Turn, Verdict
from .report import report_console

COLOURS = {Agent.STUDENT: "cyan", Agent.TEACHER: "green", Agent.CRITIC: "magenta", Agent.JUDGE: "yellow"}


def print_conversation(conversation: Conversation) -> None:
    """The whole conversation on stdout, each turn with its number, its speaker and what came of it."""
    console = report_console(soft_wrap=False)
    dialogue = conversation.dialogue
    console.print(Text(f"dialogue {dialogue.id}", style="bold"))
    stage = f"round {dialogue.round}" if dialogue.stage == "rehearse" else str(dialogue.stage)
    cast = "simulated cast" if conversation.run.cast.get("simulated") else "models " + conversation.run.cast["teacher"]
    console.print(Text(f"run {conversation.run.id} · {stage} · {cast} · {dialogue.status}", style="dim"))
    console.print()
    console.print(Text.assemble(("input  ", "bold"), printable(conversation.example.text)))
    _Printer(console, conversation).print_turns()
    console.print()
    ending = dialogue.stop_reason or dialogue.error or "still under way"
    console.print(Text.assemble(("ended  ", "bold"), printable(ending)))


class _Printer:
    def __init__(self, console: Console, conversation: Conversation) -> None:
        self._console = console
        self._conversation = conversation
        self._numbers = {turn.id: turn.seq + 1 for turn in conversation.turns}
        self._verdicts = {verdict.forward_turn_id: verdict for verdict in conversation.verdicts}
        self._with_a_verdict = {ballot.turn_id for ballot in conversation.ballots}
        self._quoted = {turn.id: turn for turn in conversation.quoted}
        self._critiques = {critique.turn_id: critique for critique in conversation.critiques}
        self._preferences = {preference.verdict_id: preference for preference in conversation.preferences}

    def print_turns(self) -> None:
        for turn in self._conversation.turns:
            if turn.id in self._verdicts:
                self._print_verdict(turn, self._verdicts[turn.id])
            elif turn.id not in self._with_a_verdict:
                self._print_turn(turn)

    def _print_turn(self, turn: Turn) -> None:
        self._print_speaker(turn, turn.kind.value, self._about(turn))
        critique = self._critiques.get(turn.id)
        if critique is not None and critique.parse_ok:
            for label, text in (("works", critique.works), ("missing", critique.missing), ("try", critique.suggestion)):
                self._print_text(Text.assemble((f"{label:<8}", "dim"), printable(text)))
        else:
            self._print_text(Text(printable(turn.content) or "(nothing)"))
        if turn.note:
            self._print_text(Text(f"set aside: {printable(turn.note)}", style="dim red"))

    def _print_verdict(self, turn: Turn, verdict: Verdict) -> None:
        left, right = (self._name(identity) for identity in (verdict.first_turn_id, verdict.second_turn_id))
        self._print_speaker(turn, "verdict", f"{left} against {right}")
        for name, identity in ((left, verdict.first_turn_id), (right, verdict.second_turn_id)):
            if identity in self._quoted:
                self._print_text(Text.assemble((f"{name}: ", "dim"), printable(self._quoted[identity].content)))
        outcome = {"win": f"{left} is better", "loss": f"{right} is better", "tie": "a tie"}[verdict.outcome]
        orders = f"p({left} better) {verdict.p_forward:.2f} shown first, {verdict.p_reverse:.2f} shown second"
        agreement = "" if verdict.consistent else "; the orders disagree"
        self._print_text(Text.assemble((outcome, "bold"), f"   {orders}{agreement}"))
        self._print_ballots(verdict, left)
        preference = self._preferences.get(verdict.id)
        if preference is not None:
            chosen, rejected = (self._name(i) for i in (preference.chosen_turn_id, preference.rejected_turn_id))
            text = f"preference: {chosen} chosen over {rejected} (margin {preference.margin:.2f})"
            self._print_text(Text(text, style="dim"))

    def _print_ballots(self, verdict: Verdict, left: str) -> None:
        """A line for each member of a jury, and for labels that were sampled."""
        ballots = [ballot for ballot in self._conversation.ballots if ballot.verdict_id == verdict.id]
        members = sorted({ballot.member for ballot in ballots})
        if len(members) < 2 and len(ballots) <= 2:
            return
        models = {turn.id: turn.model for turn in self._conversation.turns}
        for member in members:
            said = [ballot for ballot in ballots if ballot.member == member]
            orders = (
                ", ".join(f"{ballot.p_first:.2f}" for ballot in said if ballot.forward is forward)
                for forward in (True, False)
            )
            text = (
                f"{models[said[0].turn_id]}: p({left} better) {next(orders)} shown first; {next(orders)} shown second"
            )
            self._print_text(Text(printable(text), style="dim"))

    def _name(self, identity: str) -> str:
        """A turn's number, or whose it is where it belongs to another dialogue."""
        if identity in self._numbers:
            return f"#{self._numbers[identity]}"
        quoted = self._quoted[identity]
        return f"the {quoted.agent}'s {quoted.kind} ({identity[:6]})"

    def _print_speaker(self, turn: Turn, what: str, detail: str) -> None:
        agent = Agent(turn.agent)
        self._console.print()
        line = Text.assemble((f"#{turn.seq + 1:<3}", "dim"), (f"{agent.value} ", f"bold {COLOURS[agent]}"), what)
        line.append(f"  {detail}", style="dim")
        self._console.print(line)

    def _print_text(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, 5)))

    def _about(self, turn: Turn) -> str:
        parent = self._numbers.get(turn.parent_turn_id or "")
        answers = turn.kind in {TurnKind.CRITIQUE, TurnKind.REVISION} and parent
        about = f"of #{parent}" if answers else ""
        adapter = f"adapter v{turn.adapter_version}" if turn.adapter_version is not None else turn.model
        return " · ".join(part for part in (about, adapter) if part)


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """Everything the store knows of a dialogue."""
    rows: dict[str, Sequence[SQLModel]] = {
        "turns": conversation.turns,
        "verdicts": conversation.verdicts,
        "ballots": conversation.ballots,
        "quoted": conversation.quoted,
        "critiques": conversation.critiques,
        "preferences": conversation.preferences,
    }
    return {
        "run": conversation.run.id,
        "input": conversation.example.text,
        "dialogue": conversation.dialogue.model_dump(mode="json"),
        **{name: [row.model_dump(mode="json") for row in found] for name, found in rows.items()},
    }
