"""Reading transcripts: the list of dialogues, and one dialogue with all that belongs to it."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ..core.errors import NotFoundError
from ..core.records import Stage
from .reading import Reader
from .tables import Ballot, Critique, Dialogue, Example, Preference, Run, Turn, Verdict


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
    example: Example
    run: Run
    turns: list[Turn]
    """In the order they were said."""
    verdicts: list[Verdict]
    """In the order of their forward turns."""
    ballots: list[Ballot]
    """The replies that went into the verdicts, in the order of their turns."""
    quoted: list[Turn]
    """Turns of other dialogues that verdicts of this one are about."""
    critiques: list[Critique]
    """In the order of their turns."""
    preferences: list[Preference]


class ConversationReader(Reader):
    """A reader that also puts conversations together."""

    def dialogues(
        self,
        run_id: str,
        *,
        stage: Stage | str | None = None,
        round: int | None = None,  # noqa: A002 - the column's name, as everywhere
        status: str | None = None,
        stop_reason: str | None = None,
        text: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[DialogueLine]:
        """The dialogues of a run in the order they were begun.

        Args:
            run_id: The run.
            stage: Only those held for this.
            round: Only those of this round.
            status: Only those with this status.
            stop_reason: Only those that ended for this reason.
            text: Only those whose input, or any turn, holds this text, whatever its (ASCII) case.
            limit: The most to return.
            after: The id of a dialogue: only those that come after it, for the next page under the same filters.

        Raises:
            NotFoundError: There is no dialogue `after`.
        """
        equal = {"stage": stage, "round": round, "status": status, "stop_reason": stop_reason}
        statement = _lines().where(col(Dialogue.run_id) == run_id)
        statement = statement.filter_by(**{name: value for name, value in equal.items() if value is not None})
        if text is not None:
            statement = statement.where(_holds(text))
        if after is not None:
            previous = self.get(Dialogue, after)
            if previous is None:
                raise self._no_dialogue(after)
            statement = statement.where(_follows(previous))
        lines = self.rows(statement.order_by(col(Dialogue.started_at), col(Dialogue.id)).limit(limit))
        return [DialogueLine(*line) for line in lines]

    def conversation(self, dialogue_id: str) -> Conversation:
        """A dialogue with its turns, and what was made of them.

        Raises:
            NotFoundError: There is no dialogue with this id.
        """
        of_dialogue = col(Turn.dialogue_id) == dialogue_id
        verdicts = select(Verdict).join(Turn, col(Verdict.forward_turn_id) == col(Turn.id))
        ballots = select(Ballot).join(Turn, col(Ballot.turn_id) == col(Turn.id)).where(of_dialogue)
        critiques = select(Critique).join(Turn, col(Critique.turn_id) == col(Turn.id)).where(of_dialogue)
        preferences = select(Preference).where(col(Preference.dialogue_id) == dialogue_id)
        with self._session() as session:
            dialogue = session.get(Dialogue, dialogue_id)
            if dialogue is None:
                raise self._no_dialogue(dialogue_id)
            found = list(
                session.scalars(verdicts.where(col(Verdict.dialogue_id) == dialogue_id).order_by(col(Turn.seq)))
            )
            about = {turn for verdict in found for turn in (verdict.first_turn_id, verdict.second_turn_id)}
            elsewhere = select(Turn).where(col(Turn.id).in_(about), col(Turn.dialogue_id) != dialogue_id)
            return Conversation(
                dialogue=dialogue,
                example=session.get_one(Example, dialogue.example_id),
                run=session.get_one(Run, dialogue.run_id),
                turns=list(session.scalars(select(Turn).where(of_dialogue).order_by(col(Turn.seq)))),
                verdicts=found,
                ballots=list(session.scalars(ballots.order_by(col(Turn.seq)))),
                quoted=list(session.scalars(elsewhere.order_by(col(Turn.created_at), col(Turn.id)))),
                critiques=list(session.scalars(critiques.order_by(col(Turn.seq)))),
                preferences=list(session.scalars(preferences.order_by(col(Preference.created_at), col(Preference.id)))),
            )

    def _no_dialogue(self, dialogue_id: str) -> NotFoundError:
        return NotFoundError(f"there is no dialogue {dialogue_id!r} in the store {self.url!r}")


def _lines() -> Select[Dialogue, str, int, str | None]:
    final = aliased(Turn)
    turns = select(func.count()).where(col(Turn.dialogue_id) == col(Dialogue.id)).correlate(Dialogue)
    return (
        select(Dialogue, col(Example.text), turns.scalar_subquery(), col(final.content))
        .select_from(Dialogue)
        .join(Example, col(Dialogue.example_id) == col(Example.id))
        .outerjoin(final, col(Dialogue.final_turn_id) == col(final.id))
    )


def _holds(text: str) -> ColumnElement[bool]:
    said = col(Turn.content).icontains(text, autoescape=True)
    return or_(
        col(Example.text).icontains(text, autoescape=True),
        select(col(Turn.id)).where(col(Turn.dialogue_id) == col(Dialogue.id), said).correlate(Dialogue).exists(),
    )


def _follows(dialogue: Dialogue) -> ColumnElement[bool]:
    begun = col(Dialogue.started_at)
    return or_(
        begun > dialogue.started_at,
        and_(begun == dialogue.started_at, col(Dialogue.id) > dialogue.id),
    )
