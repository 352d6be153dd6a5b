"""Runs beside each other, read from the store: for the page, and for `openmic compare`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..core.config import EvaluationSettings, saved_section
from ..evaluation.arms.compared import Side, compared
from ..store import Adapter, Run, Store
from ..store.liveness import live_status
from ..store.search.judged import outputs_of, summaries_on_test
from .charts import Chart, Rate, rates_chart

MOST = 12
"""Runs that are compared at once."""
DRAWN = 5
"""Groups whose curves are drawn; more cannot be told apart."""


def compare_runs(store: Store, runs: Sequence[Run]) -> dict[str, Any]:
    """What `evaluation.arms.compared` says of these runs; the first one's evaluation settings hold for all."""
    settings = saved_section(runs[0], "evaluation", EvaluationSettings)
    return compared([_side(store, run) for run in runs], settings, runs[0].seed)


def curves(found: Mapping[str, Any]) -> Chart | None:
    """The groups' win-tie rates by version in one picture; None where there is none."""
    series = {
        group["group"]: [
            Rate(f"v{one['version']}", one["value"], one["ci"][0], one["ci"][1], f"s{place}") for one in group["curve"]
        ]
        for place, group in enumerate(found["groups"][:DRAWN])
        if group["curve"]
    }
    return (
        rates_chart(series, "Win-tie rate against the teacher on test inputs, by adapter", "adapter")
        if series
        else None
    )


def _side(store: Store, run: Run) -> Side:
    roles = {role: str(model) for role, model in run.cast.items() if isinstance(model, str)}
    source = None if run.source_run_id is None else store.get(Run, run.source_run_id)
    # By its name: another seed's goes back to another run of that name, and is one of the same group.
    kind = run.kind if run.source_run_id is None else f"{run.kind} of {source.name if source else run.source_run_id}"
    return Side(
        run=run.id,
        name=run.name,
        seed=run.seed,
        status=live_status(store, run),
        facts={"kind": kind, "prompts of the task": run.task_hash[:12], **roles},
        config=run.config,
        versions=store.select(Adapter, run_id=run.id, order_by="version"),
        summaries=summaries_on_test(store, run),
        outputs=partial(outputs_of, store, run),
        simulated=bool(run.cast.get("simulated")),
    )
