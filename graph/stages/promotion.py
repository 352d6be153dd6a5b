"""One improvement of the student: a candidate trained on new feedback, judged on dev inputs, promoted or rolled back.

The campaign takes these steps one by one at the end of a round; periodic training takes them while dialogues go on.
"""

from ...core.errors import TrainingError
from ...core.ids import derive_id
from ...core.records import Split
from ...store import Adapter, Training
from ...store.schema import now
from ..context.run_context import RunContext
from .evaluate import evaluate
from .fine_tune import NOTHING_NEW, fine_tune_on_feedback
from .gate import UNJUDGED, GateDecision, decide


async def improve(context: RunContext, round_number: int, promoted_version: int) -> int:
    """All steps at once; returns the version that serves from now on."""
    candidate = await train_candidate(context, round_number, promoted_version)
    if candidate is None:
        return promoted_version
    decision = await judge_candidate(context, promoted_version, candidate)
    record_decision(context, candidate, decision)
    return candidate if decision.promoted else promoted_version


async def train_candidate(context: RunContext, round_number: int, promoted_version: int) -> int | None:
    """Train on what is new and load the candidate beside the promoted version; None where nothing is new.

    The training has its turn; loading does not wait for one.

    Raises:
        TrainingError: the round's dialogues left nothing at all to train on.
    """
    async with context.train_gate.training():
        candidate = await fine_tune_on_feedback(context, round_number, promoted_version)
    if candidate is not None:
        await context.pool.load_adapter(context.adapter(candidate))
    elif not context.store.count(Training, run_id=context.run.id, stage="round", round=round_number):
        raise TrainingError(f"round {round_number} cannot be learned from: {NOTHING_NEW}")
    return candidate


async def judge_candidate(context: RunContext, promoted_version: int, candidate: int) -> GateDecision:
    """Promoted version and candidate are evaluated on dev inputs; test inputs play no part in any choice."""
    if not context.evaluation_inputs(Split.DEV):
        return UNJUDGED
    before = await evaluate(context, promoted_version, Split.DEV)
    after = await evaluate(context, candidate, Split.DEV)
    return decide(before, after, context.config.evaluation, context.config.seed)


def record_decision(context: RunContext, version: int, decision: GateDecision) -> None:
    """Record what was decided about an adapter, and why; the students keep a promoted one loaded."""
    context.store.update(
        Adapter,
        derive_id(context.run.id, "adapter", version),
        status="promoted" if decision.promoted else "rolled_back",
        reason=decision.reason,
        decided_at=now(),
    )
    if decision.promoted:
        context.pool.promote(version)
    else:
        context.progress.print(f"adapter v{version} rolled back: {decision.reason}")
