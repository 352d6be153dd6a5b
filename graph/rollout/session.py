"""Session of one dialogue while it is held: what was said before is read once, and all is kept.

The store stays the record: what is said here is on its way there, in its order, so that holding the dialogue again
after an interruption finds the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from ...agents.tasks.task import PromptTemplate
from ...agents.verdicts.verdict import Verdict
from ...core.records import Example, GenerationRequest, PreferenceSource, TurnKind
from ...store import CritiqueRow, Dialogue, Turn, VerdictRow
from ...store.writer import Unwaited
from ...store.writes import adding_new
from ..context.run_context import RunContext
from .preferences import gate_preferences
from .recording import asked_from, record_logprobs, record_verdict, student_turn, turn_id


@dataclass(slots=True)
class DialogueSession:
    """What the nodes of the dialogue's graph work with."""

    run: RunContext
    dialogue: Dialogue
    example: Example
    """The input it is about."""
    turns: dict[str, Turn]
    """What was said so far, by the turns' ids; of a dialogue that is being held, the student's turns at least."""
    writes: Unwaited
    """What was said and is being written."""
    critiques: dict[str, CritiqueRow] = field(default_factory=dict)
    """What was criticised, by the critiques' turns."""

    @classmethod
    async def begin(cls, run: RunContext, dialogue: Dialogue, *, new: bool = False) -> Self:
        """A dialogue to be held, or to be held on; of a `new` one the store has no turn."""
        said = [] if new else await run.store.patiently(run.store.select, Turn, dialogue_id=dialogue.id)
        turns = {turn.id: turn for turn in said}
        return cls(run, dialogue, run.example(dialogue.example_id), turns, Unwaited(run.store.submit))

    def turn(self, identity: str | None) -> Turn:
        """A turn that the student said."""
        assert identity is not None
        return self.turns[identity]

    async def say(
        self,
        seq: int,
        kind: TurnKind,
        request: GenerationRequest,
        template: PromptTemplate,
        *,
        parent: str | None = None,
        overused: Sequence[str] = (),
    ) -> Turn:
        """Let the student speak, unless it has said this already.

        A text that ends in one of `overused` is turned away where `dialogue.overused_endings` says so.
        """
        turned_away = self.run.config.dialogue.overused_endings == "turned_away"
        turn = await student_turn(
            self.run,
            self.dialogue,
            seq,
            kind,
            request,
            template,
            source=self.example.value,
            parent=parent,
            said=self.turns,
            keeper=self.writes,
            unwanted=overused if turned_away else (),
        )
        return self.turns.setdefault(turn.id, turn)

    async def keep_gate_preferences(self, valid: Turn) -> None:
        """Keep what the gates have decided: this text over the drafts that were turned away."""
        drafts = sorted(
            (turn for turn in self.turns.values() if turn.kind is TurnKind.DRAFT), key=lambda turn: turn.seq
        )
        if preferences := gate_preferences(self.dialogue, valid, drafts):
            await self.writes.keep(adding_new(*preferences))

    async def teacher_logprobs(self, seq: int, draft: Turn) -> None:
        """Ask the teacher how likely it finds a draft, unless it has said so already."""
        token_ids = draft.raw["token_ids"]
        if turn_id(self.dialogue.id, seq) in self.turns or not token_ids:
            return
        messages = self.run.student.prompt(self.example.value)
        template = self.run.student.template("draft")
        with asked_from(self.dialogue, seq):
            exchange, found = await self.run.draft_logprobs.of(
                messages, draft.content, self.run.prompt_ids(messages), token_ids, template
            )
        turn = await record_logprobs(self.writes, self.dialogue, seq, exchange, found, draft)
        self.turns[turn.id] = turn

    async def ask(self, seq: int, first: Turn, second: Turn, overused: Sequence[str]) -> Verdict:
        """The critic's comparison of two turns, to be recorded from a place on, or behind others asked for with it."""
        with asked_from(self.dialogue, seq):
            return await self.run.critic.compare(self.example.value, first.content, second.content, overused=overused)

    async def record(
        self, seq: int, comparison: Verdict, first: Turn, second: Turn, source: PreferenceSource
    ) -> tuple[VerdictRow, int]:
        """Keep a comparison, with the preference it makes; returns its verdict and the next free place."""
        return await record_verdict(self.writes, self.dialogue, seq, comparison, first, second, source=source)
