"""A run in numbers, as `openmic status` shows it while the run goes on and afterwards."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from ..core.records import Stage, TurnKind
from .funnel import funnel, verdict_facts
from .reading import Reader
from .spending import llm_usage, sampled_labels
from .tables.transcript import Dialogue, Preference, Run, Turn

STATUSES = ("finished", "failed", "pending")
_TOLD = 3


def overview(store: Reader, run: Run) -> dict[str, Any]:
    """What has happened in a run so far.

    Returns:
        Counts, fit for JSON: `dialogues` by status and `stop_reasons` (of dialogues collected or judged again),
        `stages`, for each stage how many of the items that began have which status, `failed`, how many failed in all
        of them, and `failures`, what failed of what (see there), `turns`, `turn_kinds`, `llm` (by role: `calls`,
        `input_tokens`, `cached_tokens`, `output_tokens`, `reasoning_tokens`, `estimated`, `reused`, `usd`; see
        `spending.Usage`), `sampled_labels` (see the module `spending`), `preferences` by source,
        `revisions`, the number of dialogues with at least one, `funnel` and `verdicts` (see the module `funnel`).
        Statuses are always all there; other groups only where there is something to count.
    """
    collected = col(Dialogue.run_id) == run.id, col(Dialogue.stage).in_([Stage.COLLECT, Stage.REJUDGE])
    kinds = _tally(store, col(Turn.kind), col(Turn.run_id) == run.id)
    revised = select(func.count(func.distinct(Turn.dialogue_id))).where(
        col(Turn.run_id) == run.id, col(Turn.kind) == TurnKind.REVISION
    )
    stages = stage_counts(store, run)
    held = [counts for stage, counts in stages.items() if stage in {Stage.COLLECT, Stage.REJUDGE}]
    return {
        "dialogues": {status: sum(counts[status] for counts in held) for status in STATUSES},
        "stages": stages,
        "failed": sum(counts["failed"] for counts in stages.values()),
        "failures": failures(store, run),
        "stop_reasons": _tally(store, col(Dialogue.stop_reason), col(Dialogue.stop_reason).is_not(None), *collected),
        "turns": sum(kinds.values()),
        "turn_kinds": kinds,
        "llm": {
            role: {
                "calls": used.requests,
                "input_tokens": used.input_tokens,
                "cached_tokens": used.cached_tokens,
                "output_tokens": used.output_tokens,
                "reasoning_tokens": used.reasoning_tokens,
                "estimated": used.estimated,
                "reused": used.reused,
                "usd": used.usd,
            }
            for role, used in llm_usage(store, run).items()
        },
        "sampled_labels": sampled_labels(store, run.id),
        "preferences": _tally(store, col(Preference.source), col(Preference.run_id) == run.id),
        "revisions": store.rows(revised)[0][0],
        "funnel": funnel(store, run),
        "verdicts": verdict_facts(store, run),
    }


def failures(store: Reader, run: Run, round_number: int | None = None) -> list[dict[str, Any]]:
    """What failed in a run, or in one round, by stage and reason, the most frequent first.

    Returns:
        Of each: `stage`, `count`, and `error`, the first of those that differ in their numbers alone.
    """
    statement = select(col(Dialogue.stage), col(Dialogue.error)).where(
        col(Dialogue.run_id) == run.id, col(Dialogue.status) == "failed"
    )
    if round_number is not None:
        statement = statement.where(col(Dialogue.round) == round_number)
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for stage, error in store.rows(statement.order_by(col(Dialogue.started_at), col(Dialogue.id))):
        key = str(stage), re.sub(r"\d+", "#", error or "")
        counts[key] += 1
        first.setdefault(key, error or "no reason was recorded")
    return [{"stage": key[0], "count": count, "error": first[key]} for key, count in counts.most_common()]


def told_failures(found: Sequence[dict[str, Any]]) -> tuple[Sequence[dict[str, Any]], int]:
    """The `failures` that are told one by one, and how many items failed for other reasons."""
    return found[:_TOLD], sum(failure["count"] for failure in found[_TOLD:])


def stage_counts(store: Reader, run: Run) -> dict[str, dict[str, int]]:
    """How many items of each stage that began are `finished`, `failed` and `pending`; an item is an input's dialogue.

    Stages are in the order of a run.
    """
    stage, status = col(Dialogue.stage), col(Dialogue.status)
    counted = select(stage, status, func.count()).where(col(Dialogue.run_id) == run.id).group_by(stage, status)
    found: dict[str, dict[str, int]] = {}
    for name, state, number in store.rows(counted):
        found.setdefault(str(name), dict.fromkeys(STATUSES, 0))[state] = number
    return {known.value: found[known.value] for known in Stage if known.value in found}


def _tally(store: Reader, column: Any, *conditions: Any) -> dict[str, int]:
    statement = select(column, func.count()).where(*conditions).group_by(column).order_by(column)
    return {str(value): number for value, number in store.rows(statement)}
