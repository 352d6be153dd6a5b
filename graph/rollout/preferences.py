"""Which verdicts become preferences to train on."""

from collections.abc import Sequence

from ...core.ids import derive_id
from ...core.records import PreferenceSource
from ...evaluation.text_metrics import length_ratio
from ...store import Dialogue, Preference, Turn, VerdictRow


def preference_from(
    dialogue: Dialogue, verdict: VerdictRow, first: Turn, second: Turn, source: PreferenceSource
) -> Preference | None:
    """The preference that a verdict makes, or None for a tie or where the two orders disagree.

    Its length ratio is recorded, not judged: which ratios are trained on is the training's choice.
    """
    if verdict.outcome == "tie" or not verdict.consistent:
        return None
    chosen, rejected = (first, second) if verdict.outcome == "win" else (second, first)
    return _preference(dialogue, chosen, rejected, source, abs(verdict.p_first - 0.5) * 2, verdict.id)


def teacher_preference(dialogue: Dialogue, demonstration: Turn, draft: Turn) -> Preference:
    """The teacher's text over the student's, where the student did not get there. No verdict stands behind it."""
    return _preference(dialogue, demonstration, draft, "teacher", 0.0, None)


def gate_preferences(dialogue: Dialogue, valid: Turn, drafts: Sequence[Turn]) -> list[Preference]:
    """A valid text over the drafts that were turned away: of each gate the first. No verdict stands behind them."""
    first = {draft.note: draft for draft in reversed(drafts) if draft.note is not None}
    return [_preference(dialogue, valid, draft, "gate", 0.0, None) for draft in reversed(first.values())]


def _preference(
    dialogue: Dialogue, chosen: Turn, rejected: Turn, source: PreferenceSource, margin: float, verdict_id: str | None
) -> Preference:
    return Preference(
        id=derive_id(dialogue.id, "preference", chosen.id, rejected.id),
        run_id=dialogue.run_id,
        round=dialogue.round,
        dialogue_id=dialogue.id,
        example_id=dialogue.example_id,
        chosen_turn_id=chosen.id,
        rejected_turn_id=rejected.id,
        source=source,
        margin=margin,
        length_ratio=length_ratio(chosen.content, rejected.content),
        verdict_id=verdict_id,
    )
