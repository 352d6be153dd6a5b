"""Reading transcripts: the list of dialogues, and one dialogue with all that belongs to it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ..core.errors import NotFoundError
from .reading import Reader
from .search.filters import Columns, DialogueFilter, DialogueOrder, beyond, in_order, sort_key, turn_count
from .tables.transcript import BallotRow, CritiqueRow, Dialogue, ExampleRow, Preference, Run, Turn, VerdictRow


@dataclass(frozen=True, slots=True)
class DialogueLine:
    """A dialogue at a glance."""

    dialogue: Dialogue
    example_text: str
    turns: int
    final_text: str | None
    """The text the dialogue arrived at; None where there is none (yet)."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue with all that was said in it and all that followed from it."""

    dialogue: Dialogue
    example: ExampleRow
    run: Run
    turns: list[Turn]
    """In the order they were said."""
    verdicts: list[VerdictRow]
    """In the order of their forward turns."""
    ballots: list[BallotRow]
    """The replies that went into the verdicts, in the order of their turns."""
    quoted: list[Turn]
    """Turns of other dialogues that verdicts of this one are about."""
    critiques: list[CritiqueRow]
    """In the order of their turns."""
    preferences: list[Preference]


class ConversationReader(Reader):
    """A reader that also lists dialogues, and puts conversations together."""

    def dialogues(
        self,
        run_id: str,
        wanted: DialogueFilter | None = None,
        *,
        order: DialogueOrder = "started",
        limit: int | None = None,
        after: str | None = None,
    ) -> list[DialogueLine]:
        """The dialogues of a run.

        Args:
            run_id: The run.
            wanted: Only those that are like this.
            order: What they are sorted by; those that are equal in it are in the order of their ids.
            limit: The most to return.
            after: The id of a dialogue: only those that come after it, for the next page in the same order.

        Raises:
            NotFoundError: There is no dialogue `after`.
        """
        page = in_order(_joined(select(col(Dialogue.id))).where(*_of(run_id, wanted)), order).limit(limit)
        if after is not None:
            page = page.where(beyond(order, self._place(after, order)))
        # What a line tells besides is only looked up for those that are on the page.
        statement = in_order(_lines().where(col(Dialogue.id).in_(page)), order)
        return [DialogueLine(*line) for line in self.rows(statement)]

    def count_dialogues(self, run_id: str, wanted: DialogueFilter | None = None, *, most: int | None = None) -> int:
        """How many dialogues `dialogues` returns without a limit; nothing is counted beyond `most`."""
        found = _joined(select(col(Dialogue.id))).where(*_of(run_id, wanted)).limit(most)
        return int(self.rows(select(func.count()).select_from(found.subquery()))[0][0])

    def neighbours(
        self, dialogue_id: str, wanted: DialogueFilter | None = None, order: DialogueOrder = "started"
    ) -> tuple[str | None, str | None]:
        """Ids of the dialogues before and after one in its run, under a filter it need not pass.

        Raises:
            NotFoundError: There is no dialogue with this id.
        """
        place = self._place(dialogue_id, order)
        dialogue = self.get(Dialogue, dialogue_id)
        assert dialogue is not None
        of_run = _joined(select(col(Dialogue.id))).where(*_of(dialogue.run_id, wanted))
        found = (
            self.rows(in_order(of_run.where(beyond(order, place, reverse=back)), order, reverse=back).limit(1))
            for back in (True, False)
        )
        before, following = (rows[0][0] if rows else None for rows in found)
        return before, following

    def conversation(self, dialogue_id: str) -> Conversation:
        """A dialogue with its turns, and what was made of them.

        Raises:
            NotFoundError: There is no dialogue with this id.
        """
        of_dialogue = col(Turn.dialogue_id) == dialogue_id
        verdicts = select(VerdictRow).join(Turn, col(VerdictRow.forward_turn_id) == col(Turn.id))
        ballots = select(BallotRow).join(Turn, col(BallotRow.turn_id) == col(Turn.id)).where(of_dialogue)
        critiques = select(CritiqueRow).join(Turn, col(CritiqueRow.turn_id) == col(Turn.id)).where(of_dialogue)
        preferences = select(Preference).where(col(Preference.dialogue_id) == dialogue_id)
        with self._session() as session:
            dialogue = session.get(Dialogue, dialogue_id)
            if dialogue is None:
                raise self._no_dialogue(dialogue_id)
            found = list(
                session.scalars(verdicts.where(col(VerdictRow.dialogue_id) == dialogue_id).order_by(col(Turn.seq)))
            )
            about = {turn for verdict in found for turn in (verdict.first_turn_id, verdict.second_turn_id)}
            elsewhere = select(Turn).where(col(Turn.id).in_(about), col(Turn.dialogue_id) != dialogue_id)
            return Conversation(
                dialogue=dialogue,
                example=session.get_one(ExampleRow, dialogue.example_id),
                run=session.get_one(Run, dialogue.run_id),
                turns=list(session.scalars(select(Turn).where(of_dialogue).order_by(col(Turn.seq)))),
                verdicts=found,
                ballots=list(session.scalars(ballots.order_by(col(Turn.seq)))),
                quoted=list(session.scalars(elsewhere.order_by(col(Turn.created_at), col(Turn.id)))),
                critiques=list(session.scalars(critiques.order_by(col(Turn.seq)))),
                preferences=list(session.scalars(preferences.order_by(col(Preference.created_at), col(Preference.id)))),
            )

    def _place(self, dialogue_id: str, order: DialogueOrder) -> tuple[Any, str]:
        """Where a dialogue stands in an order: what it is sorted by, and its id."""
        found = self.rows(_joined(select(sort_key(order))).where(col(Dialogue.id) == dialogue_id))
        if not found:
            raise self._no_dialogue(dialogue_id)
        return found[0][0], dialogue_id

    def _no_dialogue(self, dialogue_id: str) -> NotFoundError:
        return NotFoundError(f"there is no dialogue {dialogue_id!r} in the store {self.url!r}")


def _lines() -> Select[Dialogue, str, int, str | None]:
    final = aliased(Turn)
    return _joined(select(Dialogue, col(ExampleRow.text), turn_count(), col(final.content))).outerjoin(
        final, col(Dialogue.final_turn_id) == col(final.id)
    )


def _joined(statement: Select[*Columns]) -> Select[*Columns]:
    """A SELECT over dialogues and their inputs."""
    return statement.select_from(Dialogue).join(ExampleRow, col(Dialogue.example_id) == col(ExampleRow.id))


def _of(run_id: str, wanted: DialogueFilter | None) -> list[ColumnElement[bool]]:
    return [col(Dialogue.run_id) == run_id, *(wanted.conditions(run_id) if wanted is not None else [])]
