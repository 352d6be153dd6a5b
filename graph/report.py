"""A run in one dictionary: what `openmic status --json` prints and the closing table shows."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from ..core.config import EvaluationSettings, saved_section
from ..core.records import Agent, Split
from ..evaluation.headline import SAMPLES, headline
from ..store import Adapter, Evaluation, EvaluationItem, Run, RunExample, Store, Training, Turn, overview
from ..store.cast_notes import cast_notes
from ..store.liveness import live_status
from ..store.search.judged import outputs_of, summaries_on_test
from ..store.spending import TAKEN_FROM, cost
from .context.losses import little_to_learn_from
from .tracking.sent import trackers

STAGE_NAMES = {"base": "no adapter", "imitation": "imitation"}
MODELS = ("teacher", "critic", "jury", "judge")


def run_status(store: Store, run: Run, *, samples: int = SAMPLES) -> dict[str, Any]:
    """Summarise a run, ready for JSON; rates are in [0, 1], `win`, `tie` and `loss` count inputs.

    `staleness` of a version counts the student's preferences it was trained on by their lag (see
    `store.trainable`).

    Of a version, `of` is how many test inputs it is to be judged on, `n` on how many it was; while it is being judged
    there is `judged` instead, how many were so far, and no figure. Inputs are missing from `n` where an item failed:
    see `stages`, and `failed`, the number of all that did.

    `headline` is what matters first (see `evaluation.headline`), with that many `samples`; its `gain` stands beside it.

    `little_learned` is a line, with the keys that would help, where a finished campaign's rounds have learned from few
    preferences; else None.

    `trackers` says of each experiment tracker where it has the run, and how much of it.

    Of the configuration it reads no more than it needs, so that runs of other versions of openmic can be shown.
    """
    settings = evaluation_settings(run)
    adapters = store.select(Adapter, run_id=run.id, order_by="version")
    promoted = [row for row in adapters if row.status == "promoted" and row.uri is not None]
    models = {name: run.cast[name] for name in MODELS if name in run.cast}
    stages = stage_names(adapters)
    if run.kind == "evaluate" and stages:
        stages[-1] = "teacher" if settings.speaker == "teacher" else f"{stages[-1]}, best of {settings.best_of}"
    trainings = {training.id: training for training in store.select(Training, run_id=run.id)}
    inputs = store.count(RunExample, run_id=store.campaign_of(run).id, split=Split.TEST)
    inputs = min(settings.test_inputs or inputs, inputs)
    counts = overview(store, run)
    first = headline(
        adapters,
        summaries_on_test(store, run),
        partial(outputs_of, store, run),
        settings,
        run.seed,
        simulated=bool(run.cast["simulated"]),
        samples=samples,
    )
    return {
        "headline": {name: value for name, value in first.items() if name != "gain"},
        "run": run.id,
        "name": run.name,
        "task": run.task,
        "kind": run.kind,
        "source_run": run.source_run_id,
        "experiment": run.experiment,
        "arm": run.arm,
        "status": live_status(store, run),
        "error": run.error,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "cast": "simulated" if run.cast["simulated"] else models,
        "models": models,
        "notes": cast_notes(run.cast),
        "little_learned": little_to_learn_from(counts["funnel"], run),
        "plugs": run.plugs,
        "verdict_style": run.config.get("verdict", {}).get("style", "label"),
        "student": run.config["student"]["model"],
        "confidence": settings.confidence,
        **counts,
        "cost": cost(run, counts["llm"]),
        "taken_over": taken_over(store, run, counts["llm"]),
        "trackers": trackers(store, run),
        "store": store.url,
        "home": store.shown_place(run.home),
        "duplicate_inputs": run.duplicate_inputs,
        "adapter_path": store.shown_place(promoted[-1].uri or "") if promoted else None,
        "versions": [
            _version(store, row, stage, trainings.get(row.training_id or ""), inputs)
            for row, stage in zip(adapters, stages, strict=True)
        ],
        "gain": first["gain"],
    }


def evaluation_settings(run: Run) -> EvaluationSettings:
    """How a run evaluates, as its configuration says."""
    return saved_section(run, "evaluation", EvaluationSettings)


def taken_over(store: Store, run: Run, used: dict[str, Any]) -> dict[str, Any] | None:
    """What a run took over from earlier ones: how many `replies`, `texts` and `adapters`.

    `run` is the one that it names, and `experiment` the one whose runs it takes from; None where it takes from none.
    """
    if run.reuses is None and run.experiment is None:
        return None
    trainings = store.select(Training, run_id=run.id)
    [(texts,)] = store.rows(
        select(func.count())
        .select_from(Turn)
        .where(col(Turn.run_id) == run.id, col(Turn.agent) == Agent.STUDENT, col(Turn.worker).startswith(TAKEN_FROM))
    )
    return {
        "run": run.reuses,
        "experiment": run.experiment,
        "replies": sum(one["reused"] for one in used.values()),
        "texts": texts,
        "adapters": sum("taken_from" in training.metrics for training in trainings),
    }


def stage_names(adapters: Sequence[Adapter]) -> list[str]:
    """What to call the stage each adapter came from; a round that trained more than once counts its adapters."""
    met: Counter[str] = Counter()
    names = []
    for adapter in adapters:
        name = STAGE_NAMES.get(adapter.stage, f"round {adapter.round}")
        met[name] += 1
        names.append(name if met[name] == 1 else f"{name} ({met[name]})")
    return names


def _version(store: Store, adapter: Adapter, stage: str, training: Training | None, inputs: int) -> dict[str, Any]:
    evaluation = _on_test_inputs(store, adapter.run_id, adapter.version)
    figures: dict[str, Any] = {}
    if evaluation is not None:
        over = evaluation.status == "finished"
        figures = evaluation.summary if over else {"judged": store.count(EvaluationItem, evaluation_id=evaluation.id)}
    return {
        "version": adapter.version,
        "stage": stage,
        "objective": training.objective if training is not None else None,
        "examples": training.examples if training is not None else None,
        "left_out": training.metrics.get("left_out", 0) if training is not None else 0,
        "left_out_why": training.metrics.get("left_out_why") if training is not None else None,
        "staleness": training.metrics.get("staleness", {}) if training is not None else {},
        "promoted": adapter.status == "promoted",
        "status": adapter.status,
        "reason": adapter.reason,
        "adapter_path": None if adapter.uri is None else store.shown_place(adapter.uri),
        "of": inputs,
        **figures,
    }


def _on_test_inputs(store: Store, run_id: str, version: int) -> Evaluation | None:
    found = store.select(Evaluation, run_id=run_id, adapter_version=version, split=Split.TEST)
    return found[0] if found else None
