"""The newest runs, each with where it stands and what its adapter achieved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core.records import Split
from ..liveness import LiveStatus, live_status
from ..store import Store
from ..tables.training import Adapter, Evaluation
from ..tables.transcript import Run


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run as lists show it."""

    run: Run
    standing: LiveStatus
    promoted: Adapter | None
    """The adapter that serves: the last that was promoted."""
    tested: dict[str, Any] | None
    """The summary of its evaluation on test inputs, where it is finished."""

    @property
    def student(self) -> str:
        """The model that is taught."""
        return str(self.run.config.get("student", {}).get("model", ""))

    @property
    def objective(self) -> str:
        """What its trainings on feedback minimise."""
        return str(self.run.config.get("training", {}).get("objective", ""))


def newest_runs(store: Store, number: int) -> tuple[Sequence[RunLine], bool]:
    """The newest runs, the newest first, and whether there are more."""
    found = store.select(Run, order_by="-created_at", limit=number + 1)
    page = found[:number]
    ids = [run.id for run in page]
    tested: dict[tuple[str, int], dict[str, Any]] = {
        (row.run_id, row.adapter_version): row.summary
        for row in store.select(Evaluation, run_id=ids, split=Split.TEST, status="finished")
    }
    promoted: dict[str, Adapter] = {}
    for adapter in store.select(Adapter, run_id=ids, status="promoted", order_by="version"):
        promoted[adapter.run_id] = adapter
    lines = []
    for run in page:
        serves = promoted.get(run.id)
        summary = None if serves is None else tested.get((run.id, serves.version))
        lines.append(RunLine(run, live_status(store, run), serves, summary))
    return lines, len(found) > number
