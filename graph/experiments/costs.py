"""What an arm took of large models and of the student, as if it stood alone.

What it took over from other arms counts as its own. The judge is no part of it, nor is the critic where it only stands
beside the judge: they measure, and teach nothing.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import func, select
from sqlmodel import col

from ...core.records import Agent, Split, Stage
from ...store import Adapter, Dialogue, EvaluationItem, Run, RunExample, Turn, VerdictRow
from ...store.reading import Reader


class Costed(Protocol):
    """A cell, as far as its costs go."""

    @property
    def kind(self) -> str:
        """Of the cell."""
        ...

    @property
    def run(self) -> Run | None:
        """The run that made it, or judged it."""
        ...

    @property
    def version(self) -> int | None:
        """The adapter that is judged."""
        ...


def cost_of(store: Reader, cells: Sequence[Costed]) -> dict[str, float] | None:
    """The mean over seeds: `replies` and `tokens` of teacher and critic, and `written`, tokens of the student's.

    None where no seed is done.
    """
    found = [_of_cell(store, cell) for cell in cells if cell.run is not None]
    if not found:
        return None
    return {name: sum(one[name] for one in found) / len(found) for name in ("replies", "tokens", "written")}


def _of_cell(store: Reader, cell: Costed) -> dict[str, float]:
    assert cell.run is not None
    campaign = store.campaign_of(cell.run)
    bare, looked_at = not cell.version, cell.kind in {"adapter", "evaluate"}
    taught = 0 if bare else 1 if looked_at and _is_imitation(store, cell) else 2
    stages = (Stage.DEMONSTRATE, Stage.COLLECT)[:taught]
    train = {row.example_id for row in store.select(RunExample, run_id=campaign.id, split=Split.TRAIN)}
    asked: dict[str, tuple[int, int]] = {}
    written = 0
    statement = (
        select(
            col(Turn.agent),
            col(Turn.request_key),
            col(Turn.input_tokens),
            col(Turn.output_tokens),
            col(Dialogue.example_id),
        )
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(col(Turn.run_id) == campaign.id, col(Dialogue.stage).in_(stages))
    )
    for agent, key, read, said, example in store.rows(statement) if stages else []:
        if example not in train:
            continue
        if agent is Agent.STUDENT:
            written += said
        elif agent in {Agent.TEACHER, Agent.CRITIC} and key is not None:
            asked[key] = read, said  # several turns may be of one reply
    if cell.kind == "evaluate":
        more, said = _while_evaluating(store, cell.run)
        asked |= more
        written += said
    return {"replies": len(asked), "tokens": sum(map(sum, asked.values())), "written": written}


def _is_imitation(store: Reader, cell: Costed) -> bool:
    assert cell.run is not None
    rows = store.select(Adapter, run_id=cell.run.id, version=cell.version)
    return bool(rows) and rows[0].stage == "imitation"


def _while_evaluating(store: Reader, run: Run) -> tuple[dict[str, tuple[int, int]], int]:
    """What choosing among several outputs took, or writing them anew: the teacher's, or the critic's knock-outs."""
    beside = select(col(EvaluationItem.critic_verdict_id)).where(col(EvaluationItem.critic_verdict_id).is_not(None))
    chosen = select(col(VerdictRow.forward_turn_id), col(VerdictRow.reverse_turn_id)).where(
        col(VerdictRow.run_id) == run.id, col(VerdictRow.agent) == "critic", col(VerdictRow.id).not_in(beside)
    )
    turns = [turn for row in store.rows(chosen) for turn in row]
    said = store.select(Turn, id=turns) if turns else []
    said += store.select(Turn, run_id=run.id, agent=Agent.TEACHER)
    asked = {turn.request_key: (turn.input_tokens, turn.output_tokens) for turn in said if turn.request_key is not None}
    [(written,)] = store.rows(
        select(func.coalesce(func.sum(col(Turn.output_tokens)), 0)).where(
            col(Turn.run_id) == run.id, col(Turn.agent) == Agent.STUDENT
        )
    )
    return asked, written
