"""A verdict in words: which text is better, by which odds in both orders, and what came of it."""

from dataclasses import dataclass
from string import ascii_uppercase

from rich.text import Text

from ...core.text import printable
from ...store import Conversation, VerdictRow


@dataclass(frozen=True, slots=True)
class ShownVerdict:
    """A verdict to be printed."""

    about: str
    """The two texts."""
    lines: list[Text]


class VerdictPrinter:
    """Puts the verdicts of one dialogue into words.

    Turns of the dialogue go by their numbers. A text of another dialogue goes by whose it is, and where there are
    several, as where old comparisons are judged again, by a letter that it is given when it first comes up.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._numbers = {turn.id: turn.seq + 1 for turn in conversation.turns}
        self._turns = {turn.id: turn for turn in conversation.turns}
        self._quoted = {turn.id: turn for turn in conversation.quoted}
        self._preferences = {preference.verdict_id: preference for preference in conversation.preferences}
        self._letters: dict[str, str] = {}
        self._introduced: set[str] = set()

    def shown(self, verdict: VerdictRow) -> ShownVerdict:
        """A verdict; its dialogue's must be asked for in their order."""
        left, right = (self._name(identity) for identity in (verdict.first_turn_id, verdict.second_turn_id))
        lines = [
            line
            for identity in (verdict.first_turn_id, verdict.second_turn_id)
            for line in self._introduction(identity)
        ]
        outcome = {"win": f"{left} is better", "loss": f"{right} is better", "tie": "a tie"}[verdict.outcome]
        orders = f"p({left} better) {verdict.p_forward:.2f} shown first, {verdict.p_reverse:.2f} shown second"
        agreement = "" if verdict.consistent else "; the orders disagree"
        agreement += "" if verdict.answered else "; a reply did not answer the question"
        lines.append(Text.assemble((outcome, "bold"), f"   {orders}{agreement}"))
        lines += self._ballots(verdict, left, right)
        preference = self._preferences.get(verdict.id)
        if preference is not None:
            chosen, rejected = (self._name(i) for i in (preference.chosen_turn_id, preference.rejected_turn_id))
            text = f"preference: {chosen} chosen over {rejected} (margin {preference.margin:.2f})"
            lines.append(Text(text, style="dim"))
        return ShownVerdict(f"{left} against {right}", lines)

    def _name(self, identity: str) -> str:
        if identity in self._numbers:
            return f"#{self._numbers[identity]}"
        if len(self._quoted) == 1:
            quoted = self._quoted[identity]
            return f"the {quoted.agent}'s {quoted.kind}"
        return self._letters.setdefault(identity, _letter(len(self._letters)))

    def _introduction(self, identity: str) -> list[Text]:
        """A text of another dialogue, where it comes up first."""
        if identity not in self._quoted or identity in self._introduced:
            return []
        self._introduced.add(identity)
        quoted = self._quoted[identity]
        whose = "" if len(self._quoted) == 1 else f" (the {quoted.agent}'s {quoted.kind})"
        return [Text.assemble((f"{self._name(identity)}{whose}: ", "dim"), printable(quoted.content))]

    def _ballots(self, verdict: VerdictRow, left: str, right: str) -> list[Text]:
        """A line for each member of a jury, for sampled labels, and for a Python object, by its name."""
        ballots = [ballot for ballot in self._conversation.ballots if ballot.verdict_id == verdict.id]
        members = sorted({ballot.member for ballot in ballots})
        by_name = {ballot.method for ballot in ballots} & {"score", "function"}
        if len(members) < 2 and len(ballots) <= 2 and not by_name:
            return []
        lines = []
        for member in members:
            said = [ballot for ballot in ballots if ballot.member == member]
            model = self._turns[said[0].turn_id].model
            if said[0].method == "score":
                scores = {ballot.forward: self._turns[ballot.turn_id].content for ballot in said}
                text = f"{model}: {left} {scores.get(True, '-')}, {right} {scores.get(False, '-')}"
                lines.append(Text(printable(text), style="dim"))
                continue
            forward, reverse = (
                ", ".join(f"{ballot.p_first:.2f}" for ballot in said if ballot.forward is order)
                for order in (True, False)
            )
            text = f"{model}: p({left} better) {forward} shown first; {reverse} shown second"
            lines.append(Text(printable(text), style="dim"))
        return lines


def _letter(number: int) -> str:
    """A, B and so on to Z, then A1."""
    round_, place = divmod(number, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(round_) if round_ else "")
