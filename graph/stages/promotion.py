"""Promotion: a candidate trained on new feedback, judged on dev inputs, promoted or rolled back.

The campaign takes these steps one by one at the end of a round; periodic training takes them while dialogues go on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ...core.config import EvaluationSettings
from ...core.errors import TrainingError
from ...core.ids import derive_id
from ...core.records import JudgedOutput, Split, Stage
from ...evaluation.summary import gain
from ...evaluation.text_metrics import distinct_n
from ...store import Adapter, Dialogue, Training
from ...store.schema import now
from ...store.writes import updating
from ..context.run_context import RunContext
from .evaluate import evaluate
from .fine_tune import fine_tune_on_feedback
from .last_words import nothing_to_learn_from


class Decision(NamedTuple):
    """Whether to promote, and why, in words that are kept with the adapter."""

    promoted: bool
    reason: str


UNJUDGED = Decision(promoted=True, reason="there are no dev inputs to judge it on")


async def improve(context: RunContext, round_number: int) -> int:
    """All steps at once; returns the version that stands from now on."""
    candidate = await train_candidate(context, round_number)
    if candidate is not None:
        await record_decision(context, candidate, await judge_candidate(context, candidate))
    return context.promoted_version


async def train_candidate(context: RunContext, round_number: int) -> int | None:
    """Train the promoted version on what is new; None where nothing is, or the round is over already.

    Raises:
        TrainingError: the round's dialogues left nothing at all to train on.
    """
    if round_is_over(context, round_number):
        return None
    async with context.train_gate.training():
        candidate = await fine_tune_on_feedback(context, round_number, context.promoted_version)
    if candidate is not None:
        await context.pool.load_adapter(context.adapter(candidate))
    elif not await context.store.patiently(
        context.store.count, Training, run_id=context.run.id, stage="round", round=round_number
    ):
        why = nothing_to_learn_from(context.store, context.run, round_number)
        raise TrainingError(f"round {round_number} cannot be learned from: {why}")
    return candidate


async def judge_candidate(context: RunContext, candidate: int) -> Decision:
    """Promoted version and candidate are evaluated on dev inputs; test inputs play no part in any choice."""
    if not context.evaluation_inputs(Split.DEV):
        return UNJUDGED
    before = await evaluate(context, context.promoted_version, Split.DEV)
    after = await evaluate(context, candidate, Split.DEV)
    return decide(before, after, context.config.evaluation, context.config.seed)


def record_base(context: RunContext) -> None:
    """Record version 0, the student without an adapter."""
    context.store.add_new(
        Adapter(
            id=derive_id(context.run.id, "adapter", 0),
            run_id=context.run.id,
            version=0,
            stage="base",
            round=0,
            base_model=context.config.student.full_name,
            status="promoted",
            reason="the student as it came",
        )
    )


async def record_decision(context: RunContext, version: int, decision: Decision) -> None:
    """Record what was decided about an adapter, and why; a decision that was recorded stays.

    The students keep a promoted adapter loaded.
    """
    identity = derive_id(context.run.id, "adapter", version)
    adapter = await context.store.patiently(context.store.get, Adapter, identity)
    assert adapter is not None
    if adapter.status != "candidate":
        return
    status = "promoted" if decision.promoted else "rolled_back"
    change = updating(Adapter, identity, status=status, reason=decision.reason, decided_at=now())
    await context.store.keep(change)
    if decision.promoted:
        context.pool.promote(version)
    else:
        context.progress.print(f"adapter v{version} rolled back: {decision.reason}")


def imitation_is_over(context: RunContext) -> bool:
    """Whether the imitation adapter stands, so that there is nothing more to demonstrate."""
    made = context.store.select(Adapter, run_id=context.run.id, stage="imitation")
    return any(row.status != "candidate" for row in made)


def round_is_over(context: RunContext, round_number: int) -> bool:
    """Whether a round was left behind before an interruption: what is new since is for a later round to learn."""
    store, run_id = context.store, context.run.id
    rounds = range(round_number + 1, context.config.rounds + 1)
    if any(store.count(Dialogue, run_id=run_id, stage=Stage.COLLECT, round=later) for later in rounds):
        return True
    decided = [row for row in store.select(Adapter, run_id=run_id, round=round_number) if row.status != "candidate"]
    return context.config.training.train_every is None and any(row.stage == "round" for row in decided)


def decide(
    before: Sequence[JudgedOutput], after: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int
) -> Decision:
    """Promote unless the win-tie rate fell beyond its interval and the margin, or diversity collapsed.

    Args:
        before: The promoted adapter's outputs on the dev inputs.
        after: The new adapter's.
        settings: `rollback_margin`, `diversity_floor`, and how intervals are drawn.
        seed: Of the bootstrap.
    """
    difference = gain(before, after, settings, seed)
    if difference is None:
        return UNJUDGED
    known, new = (distinct_n([output.text for output in outputs]) for outputs in (before, after))
    facts = (
        f"gain on {len(after)} dev inputs {difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}], "
        f"distinct-2 {known:.2f} to {new:.2f}"
    )
    if all(output.outcome == "tie" for output in (*before, *after)):
        facts += ", nothing decided since every comparison was a tie"
    if difference.high < -settings.rollback_margin:
        return Decision(False, f"{facts}: worse beyond the margin of {settings.rollback_margin:.2f}")
    if new < settings.diversity_floor * known:
        return Decision(False, f"{facts}: diversity fell below {settings.diversity_floor:.0%} of what it was")
    return Decision(True, facts)
