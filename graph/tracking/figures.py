"""What a run's store holds, as a tracker takes it: numbers at steps, tables of samples, folders of adapters.

The step is the number of optimizer steps the run has taken: a version's figures stand where its training ended.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.records import Split
from ...store import Adapter, Evaluation, Run, Store, Training, TrainingMetric, overview
from ...store.search.judged import outputs_of
from ...store.spending import cost

COLUMNS = ("input", "student", "teacher", "outcome")
"""Of a table of samples."""
_UNUSUAL = re.compile(r"[^\w\-./ ]")


class Figures(NamedTuple):
    """Numbers that belong together."""

    key: str
    """What they are of: of one key, what has a higher `place` is sent later, and nothing twice."""
    place: int
    step: int
    values: dict[str, float]


class Samples(NamedTuple):
    """What a version made of test inputs."""

    version: int
    step: int
    rows: Sequence[tuple[str, str, str, str]]


class Files(NamedTuple):
    """An adapter, committed."""

    version: int
    uri: str


def figures(store: Store, run: Run) -> Iterator[Figures]:
    """Every number there is: the curves, each finished evaluation, and what the run has come to so far."""
    ends = _ends(store, run)
    for training in _trainings(store, run):
        begin = ends[training.adapter_version] - _length(store, training)
        for row in store.select(TrainingMetric, training_id=training.id, order_by="step"):
            values = numbers("train", {name: value for name, value in row.values.items() if name != "step"})
            yield Figures(
                f"train/{training.adapter_version}",
                row.step,
                begin + row.step,
                values | {"train/version": float(training.adapter_version)},
            )
    for found in store.select(Evaluation, run_id=run.id, status="finished", order_by="adapter_version"):
        split, version = found.split.value, found.adapter_version
        values = numbers(split, found.summary) | {f"{split}/version": float(version)}
        yield Figures(f"{split}/{version}", int(found.summary.get("n", 0)), ends.get(version, 0), values)
    counts = overview(store, run)
    spent = cost(run, counts["llm"])
    values = numbers("funnel", counts["funnel"]) | numbers("llm", counts["llm"])
    values |= numbers("cost", {name: spent[name] for name in ("calls", "tokens", "usd", "minutes")})
    yield Figures("totals", spent["calls"] + counts["turns"], max(ends.values(), default=0), values)


def samples(store: Store, run: Run, most: int) -> Iterator[Samples]:
    """Of each version that was judged on test inputs, what it made of the first `most` by their hash."""
    ends = _ends(store, run)
    for row in store.select(Evaluation, run_id=run.id, split=Split.TEST, status="finished", order_by="adapter_version"):
        outputs = outputs_of(store, run, row.adapter_version)[:most]
        rows = [(one.source, one.text, one.reference, one.outcome) for one in outputs]
        yield Samples(row.adapter_version, ends.get(row.adapter_version, 0), rows)


def adapters(store: Store, run: Run) -> Iterator[Files]:
    """Every adapter that was committed."""
    for row in store.select(Adapter, run_id=run.id, order_by="version"):
        if row.uri is not None:
            yield Files(row.version, store.located(row.uri))


def numbers(name: str, value: Any) -> dict[str, float]:
    """The finite numbers of nested mappings under names with slashes; an interval `ci` gives `ci_low` and `ci_high`."""
    if isinstance(value, Mapping):
        found = dict[str, float]()
        for key, inner in value.items():
            found |= numbers(f"{name}/{_UNUSUAL.sub('_', str(key))}", inner)
        return found
    if isinstance(value, list | tuple) and name.endswith("/ci") and len(value) == 2:
        return numbers(f"{name}_low", value[0]) | numbers(f"{name}_high", value[1])
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return {name: float(value)}
    return {}


def flat(value: Any, name: str = "") -> dict[str, str | int | float | bool]:
    """A configuration with dotted keys; what is no number and no truth value as text."""
    if isinstance(value, Mapping) and (value or not name):
        found = dict[str, str | int | float | bool]()
        for key, inner in value.items():
            found |= flat(inner, f"{name}.{key}" if name else str(key))
        return found
    return {name: value if isinstance(value, int | float | bool) else str(value)}


def _trainings(store: Store, run: Run) -> list[Training]:
    return store.select(Training, run_id=run.id, order_by="adapter_version")


def _length(store: Store, training: Training) -> int:
    return int(training.metrics.get("steps") or store.count(TrainingMetric, training_id=training.id))


def _ends(store: Store, run: Run) -> dict[int, int]:
    """The step at which each version was made."""
    ends, step = {0: 0}, 0
    for training in _trainings(store, run):
        step += _length(store, training)
        ends[training.adapter_version] = step
    return ends
