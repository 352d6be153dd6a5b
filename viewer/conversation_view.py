"""A dialogue as the blocks that its page shows one under the other.

The order is that in which things were said. A verdict is one block, whatever number of replies went into it; a critique
has beside it the text it criticises, a revision the words that changed; drafts that follow each other are folded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..core.records import TurnKind
from ..core.word_diff import DiffPiece, word_diff
from ..store import BallotRow, Conversation, CritiqueRow, LLMCall, Preference, Store, Turn, VerdictRow
from ..store.reading import Messages
from .texts import LONG


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """A turn with the prompt and the reply behind it, where it has any."""

    turn: Turn
    messages: Messages
    """What was sent; empty where nobody was asked, as with a scorer."""
    reply: dict[str, Any]
    """The reply's body as it was received: a large model's, or the student's text with its tokens."""
    thought: str
    """What a large model said to itself before it answered."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A draft, demonstration, critique or revision."""

    asked: AskedTurn
    number: int
    """Its place in the dialogue, from 1."""
    answers: Turn | None
    """The turn it is about, where that is in this dialogue."""
    critique: CritiqueRow | None
    """What it says taken apart, where the critic kept to the form."""
    changes: list[DiffPiece] | None
    """Of a revision: what changed."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict of both orders."""

    verdict: VerdictRow
    number: int
    first: Turn
    second: Turn
    first_name: str
    second_name: str
    shown: list[tuple[str, Turn]]
    """Both texts by name, where one of them was said elsewhere, or is folded away."""
    replies: list[tuple[AskedTurn, BallotRow]]
    """The replies that went into it."""
    preference: Preference | None
    chosen_name: str = ""
    sampled: bool = field(default=False)
    """Whether there is more than one reply of an order: a jury, or labels that were sampled."""


@dataclass(frozen=True, slots=True)
class Drafts:
    """Drafts of the student's that follow each other, two or more."""

    drafts: list[Speech]


Block = Speech | Judgement | Drafts


def blocks(store: Store, conversation: Conversation) -> list[Block]:
    """What a page shows of a conversation, in order."""
    return list(_Blocks(store, conversation).all())


def names(conversation: Conversation) -> dict[str, str]:
    """Names of a conversation's turns: by number, or by author where a turn was said elsewhere."""
    own = {turn.id: f"#{turn.seq + 1}" for turn in conversation.turns}
    return own | {turn.id: f"the {turn.agent}’s {turn.kind}" for turn in conversation.quoted}


class _Blocks:
    def __init__(self, store: Store, conversation: Conversation) -> None:
        self._conversation = conversation
        self._turns = {turn.id: turn for turn in (*conversation.quoted, *conversation.turns)}
        self._names = names(conversation)
        self._folded = {turn.id for turn in conversation.quoted}
        self._verdicts = {verdict.forward_turn_id: verdict for verdict in conversation.verdicts}
        self._critiques = {critique.turn_id: critique for critique in conversation.critiques}
        self._preferences = {preference.verdict_id: preference for preference in conversation.preferences}
        reverse = {verdict.reverse_turn_id for verdict in conversation.verdicts}
        self._parts = reverse | {ballot.turn_id for ballot in conversation.ballots}
        keys = {turn.request_key for turn in conversation.turns if turn.request_key is not None}
        found = store.select(LLMCall, run_id=conversation.run.id, key=list(keys))
        self._calls = {call.key: call for call in found}
        self._prompts = store.prompts(turn.prompt_hash for turn in conversation.turns)

    def all(self) -> Iterator[Block]:
        spoken = [turn for turn in self._conversation.turns if turn.id in self._verdicts or turn.id not in self._parts]
        for drafts, group in groupby(spoken, key=lambda turn: turn.kind is TurnKind.DRAFT):
            turns = list(group)
            if drafts and len(turns) > 1:
                self._folded |= {turn.id for turn in turns}
                yield Drafts([self._speech(turn) for turn in turns])
                continue
            for turn in turns:
                verdict = self._verdicts.get(turn.id)
                yield self._speech(turn) if verdict is None else self._judgement(turn, verdict)

    def _asked(self, turn: Turn) -> AskedTurn:
        return asked_turn(turn, self._calls.get(turn.request_key or ""), self._prompts)

    def _speech(self, turn: Turn) -> Speech:
        critique = self._critiques.get(turn.id)
        target = critique.target_turn_id if critique is not None else turn.parent_turn_id
        answers = self._turns.get(target or "")
        changes = None
        if turn.kind == TurnKind.REVISION and answers is not None and len(turn.content) + len(answers.content) < LONG:
            changes = word_diff(answers.content, turn.content)
        return Speech(
            asked=self._asked(turn),
            number=turn.seq + 1,
            answers=answers,
            critique=critique if critique is not None and critique.parse_ok else None,
            changes=changes,
        )

    def _judgement(self, turn: Turn, verdict: VerdictRow) -> Judgement:
        first, second = self._turns[verdict.first_turn_id], self._turns[verdict.second_turn_id]
        ballots = [ballot for ballot in self._conversation.ballots if ballot.verdict_id == verdict.id]
        both = (first, second)
        replies: list[tuple[AskedTurn, BallotRow]] = [
            (self._asked(self._turns[ballot.turn_id]), ballot) for ballot in ballots
        ]
        preference = self._preferences.get(verdict.id)
        return Judgement(
            verdict=verdict,
            number=turn.seq + 1,
            first=first,
            second=second,
            first_name=self._names[first.id],
            second_name=self._names[second.id],
            shown=[(self._names[text.id], text) for text in both] if {text.id for text in both} & self._folded else [],
            replies=replies,
            preference=preference,
            chosen_name=self._names.get(preference.chosen_turn_id, "") if preference is not None else "",
            sampled=len(replies) > 2,
        )


def asked_turn(turn: Turn, call: LLMCall | None, prompts: Mapping[str, Messages]) -> AskedTurn:
    """A turn with what was asked, of the prompts by their hashes, and what was answered."""
    reply = turn.raw if call is None else call.reply["raw"]
    thought = "" if call is None else call.reply.get("thought", "")
    return AskedTurn(turn, prompts.get(turn.prompt_hash or "", []), reply or {"text": turn.content}, thought)
