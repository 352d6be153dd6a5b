"""A run in numbers, as `openmic status` shows it while the run goes on and afterwards."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from ..core.records import Stage, TurnKind
from .funnel import funnel, verdict_facts
from .reading import Reader
from .spending import llm_usage, sampled_labels
from .tables.transcript import Dialogue, Run
from .tally import TURN, Tallied, by_name, summed, tallies

STATUSES = ("finished", "failed", "pending")
_TOLD = 3


def overview(store: Reader, run: Run) -> dict[str, Any]:
    """What has happened in a run so far.

    Returns:
        Counts, fit for JSON: `dialogues` by status and `stop_reasons` (of dialogues collected or judged again),
        `stages`, for each stage how many of the items that began have which status, `failed`, how many failed in all
        of them, and `failures`, what failed of what (see there), `turns`, `turn_kinds`, `llm` (by role: `calls`,
        `input_tokens`, `cached_tokens`, `output_tokens`, `reasoning_tokens`, `estimated`, `batched`, `reused`, `usd`;
        see `spending.Usage`), `sampled_labels` (see the module `spending`), `preferences` by source,
        `revisions`, the number of dialogues with at least one, `funnel` and `verdicts` (see the module `funnel`).
        Statuses are always all there; other groups only where there is something to count.
    """
    every = tallies(store, run.id)
    counts, stages = summed(every), _by_stage((one.stage, one.status, one.number) for one in every)
    kinds = by_name(counts, TURN)
    held = [one for one in every if one.stage in {Stage.COLLECT, Stage.REJUDGE}]
    failed = sum(found["failed"] for found in stages.values())
    found = funnel(store, run, every=every)
    return {
        "dialogues": {status: sum(one.number for one in held if one.status == status) for status in STATUSES},
        "stages": stages,
        "failed": failed,
        "failures": failures(store, run) if failed else [],
        "stop_reasons": _stop_reasons(held),
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
                "batched": used.batched,
                "reused": used.reused,
                "usd": used.usd,
            }
            for role, used in llm_usage(store, run).items()
        },
        "sampled_labels": sampled_labels(every),
        "preferences": {source: made["made"] for source, made in found["preferences"].items() if made["made"]},
        "revisions": sum(one.number for one in every if one.counts.get(f"{TURN}{TurnKind.REVISION}")),
        "funnel": found,
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
    return _by_stage(store.rows(counted))


def _by_stage(counted: Iterable[tuple[Stage, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, state, number in counted:
        found.setdefault(str(name), dict.fromkeys(STATUSES, 0))[state] += number
    return {known.value: found[known.value] for known in Stage if known.value in found}


def _stop_reasons(tallied: Iterable[Tallied]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in tallied:
        if one.stop_reason is not None:
            found[one.stop_reason] += one.number
    return dict(sorted(found.items()))
