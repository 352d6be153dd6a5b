"""What the page of a run shows, read from the store."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core.config import EvaluationSettings, saved_section
from ..core.records import Split
from ..evaluation.headline import headline
from ..evaluation.shown import score_columns, undecided
from ..store import Adapter, DialogueLine, Evaluation, Run, Store, Training, TrainingMetric, overview
from ..store.liveness import LiveStatus
from ..store.search.judged import outputs_of, summaries_on_test
from ..store.spending import spending
from .charts import Chart, Rate, line_chart, rate_chart
from .site import Site

DRAWN = 5
"""Trainings whose curves are drawn: the last. More cannot be told apart."""
SHOWN_NOW = 6
PATIENCE_S = 0.1
"""How long the first to look at a run waits for its counts."""


@dataclass(frozen=True, slots=True)
class Version:
    """An adapter, how it was made, and how it did."""

    adapter: Adapter
    training: Training | None
    tested: dict[str, Any]
    """The summary of its evaluation on test inputs; empty where there is none."""
    gate: dict[str, Any]
    """The same on dev inputs: what it was promoted or rolled back by."""


@dataclass(frozen=True, slots=True)
class Versions:
    """All adapters of a run, with the curve of their win-tie rates."""

    rows: list[Version]
    chart: Chart | None
    scorers: dict[str, bool]
    """Those that scored the outputs, each with whether its means are shares."""


@dataclass(frozen=True, slots=True)
class Learning:
    """All trainings of a run, with the curves of the last ones' losses."""

    trainings: list[Training]
    drawn: list[int]
    """The versions made by the trainings that are drawn, in the order of the curves."""
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class Now:
    """What is under way in a run that goes on."""

    trainings: list[Training]
    evaluations: list[Evaluation]
    pending: int
    """Dialogues that are being held."""
    latest: list[DialogueLine]


def adapters_of(store: Store, run: Run) -> Versions:
    """The adapters in the order they were made."""
    trainings = {row.id: row for row in store.select(Training, run_id=run.id)}
    summaries = {
        (row.adapter_version, row.split): row.summary
        for row in store.select(Evaluation, run_id=run.id, status="finished")
    }
    rows = [
        Version(
            adapter,
            trainings.get(adapter.training_id or ""),
            summaries.get((adapter.version, Split.TEST), {}),
            summaries.get((adapter.version, Split.DEV), {}),
        )
        for adapter in store.select(Adapter, run_id=run.id, order_by="version")
    ]
    rates = [
        Rate(
            f"v{row.adapter.version}",
            row.tested["win_tie_rate"],
            low=row.tested["ci"][0],
            high=row.tested["ci"][1],
            kind=row.adapter.status,
        )
        for row in rows
        if "win_tie_rate" in row.tested and not undecided(row.tested)
    ]
    title = "Win-tie rate against the teacher on test inputs, by adapter"
    chart = rate_chart(rates, title, "adapter") if rates else None
    return Versions(rows, chart, score_columns(row.tested for row in rows))


def headline_of(site: Site, run: Run, *, patience_s: float = PATIENCE_S) -> dict[str, Any] | None:
    """What matters first of a run (see `evaluation.headline`); None while it is first worked out."""
    adapters = site.store.select(Adapter, run_id=run.id, order_by="version")
    summaries = summaries_on_test(site.store, run)
    settings = saved_section(run, "evaluation", EvaluationSettings)

    def work_out() -> dict[str, Any]:
        outputs = partial(outputs_of, site.store, run)
        simulated = bool(run.cast.get("simulated"))
        return headline(adapters, summaries, outputs, settings, run.seed, simulated=simulated)

    # Of outputs that were judged nothing changes but their number, and which adapter is promoted.
    standing = [(row.version, row.status) for row in adapters]
    key = ("headline", run.id, *standing, *((version, one.get("n")) for version, one in summaries.items()))
    found: dict[str, Any] | None = site.slow.get(key, work_out, final=True, patience_s=patience_s)
    return found


def learning_of(store: Store, run: Run) -> Learning:
    """The trainings in the order they were begun."""
    trainings = store.select(Training, run_id=run.id, order_by="adapter_version")
    last = trainings[-DRAWN:]
    curves: dict[str, list[tuple[float, float]]] = {training.id: [] for training in last}
    for metric in store.select(TrainingMetric, training_id=list(curves), order_by="step"):
        loss = metric.values.get("loss")
        if isinstance(loss, int | float):
            curves[metric.training_id].append((float(metric.step), float(loss)))
    drawn = [training for training in last if curves[training.id]]
    chart = line_chart([curves[training.id] for training in drawn], "Training loss by optimizer step", "step")
    return Learning(trainings, [training.adapter_version for training in drawn], chart)


def now_of(store: Store, run: Run, standing: LiveStatus) -> Now | None:
    """What is happening in a run; None where it is over, or nobody carries it out."""
    if standing != "running":
        return None
    trainings = store.select(Training, run_id=run.id, status="running")
    evaluations = store.select(Evaluation, run_id=run.id, status="running")
    latest = store.dialogues(run.id, order="-started", limit=SHOWN_NOW)
    pending = sum(line.dialogue.status == "pending" for line in latest)
    return Now(trainings, evaluations, pending, latest)


def counted(site: Site, run: Run) -> dict[str, Any] | None:
    """Turns, tokens and the funnel of a run; None while they are first being counted."""

    def count() -> dict[str, Any]:
        spent = spending(site.store, run)
        dollars = any(one.usage.usd for one in spent.values())
        return {**overview(site.store, run), "spending": spent, "dollars": dollars}

    # A run that is resumed ends at another moment, under another key.
    key = ("counts", run.id, run.status, run.finished_at)
    counts: dict[str, Any] | None = site.slow.get(key, count, final=run.status == "finished", patience_s=PATIENCE_S)
    return counts
