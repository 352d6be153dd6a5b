"""What came of an experiment, out of the store alone: every arm's outputs, and a row of figures.

An arm that failed, or has not ended with every seed, is a row too, which says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from ...core.config import EvaluationSettings, saved_section
from ...core.errors import NotFoundError
from ...core.records import JudgedOutput, Split
from ...evaluation.arms.pooled import Difference, corrected
from ...evaluation.arms.summary import arm_difference, arm_summary
from ...evaluation.arms.texts import arm_texts
from ...evaluation.headline import side_by_side
from ...store import (
    Adapter,
    Evaluation,
    ExperimentRow,
    Preference,
    Run,
    Training,
    TrainingItem,
    Turn,
)
from ...store.cast_notes import cast_notes
from ...store.liveness import live_status
from ...store.reading import Reader
from ...store.search.judged import outputs_of
from .costs import cost_of


@dataclass(frozen=True, slots=True)
class Placed:
    """A cell, as the store has it."""

    arm: str
    seed: int
    kind: str
    run: Run | None
    version: int | None
    """The adapter that is judged."""
    outputs: Sequence[JudgedOutput]
    """On test inputs; empty until all of them are judged."""
    error: str | None
    """Why there is none."""
    failed: bool
    """Whether there is none since it, or what it goes back to, failed; else something is left to be done for it."""


def experiment_named(store: Reader, name: str) -> ExperimentRow:
    """What an experiment of this name says, as it was carried out last.

    Raises:
        NotFoundError: there is none.
    """
    found = store.select(ExperimentRow, name=name, order_by="-created_at", limit=1)
    if not found:
        names = dict.fromkeys(row.name for row in store.select(ExperimentRow, order_by="-created_at"))
        there = f"; there are {', '.join(names)}" if names else ": `openmic experiment FILE` makes one"
        raise NotFoundError(f"the store {store.url!r} holds no experiment {name!r}{there}")
    return found[0]


def runs_by_content(store: Reader, name: str) -> dict[tuple[str | None, int], Run]:
    """An experiment's runs by content and seed; of several alike the finished one, else the latest."""
    found: dict[tuple[str | None, int], Run] = {}
    for run in store.select(Run, experiment=name, order_by="created_at"):
        before = found.get((run.content, run.seed))
        if before is None or before.status != "finished":
            found[run.content, run.seed] = run
    return found


def judged_version(store: Reader, run: Run, version: str | int) -> int | None:
    """The number of an adapter of a run: `base`, `imitation`, `promoted`, `latest` or a number; None: not there."""
    rows = store.select(Adapter, run_id=run.id, order_by="version")
    fits = {
        "base": [row for row in rows if row.version == 0],
        "imitation": [row for row in rows if row.stage == "imitation"],
        "promoted": [row for row in rows if row.status == "promoted"],
        "latest": rows,
    }
    found = fits.get(str(version), [row for row in rows if row.version == version])
    return max((row.version for row in found), default=None)


def placed(store: Reader, experiment: ExperimentRow) -> list[Placed]:
    """Every cell of an experiment, with its outputs where it is done."""
    runs, found = runs_by_content(store, experiment.name), []
    failed = set[tuple[str, int]]()
    for cell in experiment.spec["cells"]:  # each after the one it goes back to
        arm, seed = cell["arm"], cell["seed"]
        run = runs.get((cell["content"], seed))
        version = None if run is None else judged_version(store, run, cell["version"])
        outputs: Sequence[JudgedOutput] = ()
        if run is not None and run.status == "finished" and version is not None:
            outputs = outputs_of(store, run, version)
        error = None if outputs else _why(store, run)
        source = experiment.spec["arms"][arm]["of"] or experiment.spec["arms"][arm]["train_on"]
        if run is None and (source, seed) in failed:
            error = f"{source}, which it goes back to, failed"
            failed.add((arm, seed))
        elif run is not None and run.status == "failed":
            failed.add((arm, seed))
        found.append(Placed(arm, seed, cell["kind"], run, version, outputs, error, (arm, seed) in failed))
    return found


def experiment_results(store: Reader, experiment: ExperimentRow) -> dict[str, Any]:
    """An experiment's table, ready for JSON.

    Returns:
        `experiment`, `about`, `cast` and `notes` (`simulated` where all large models were), `seeds`, `baseline` (the
        arm that gains are over), `confidence`, `test_inputs`, `arms` (see `_row`), `failed` (of cells that are not
        done `arm`, `seed`, `run`, `error`, and `state`: `failed`, or `left` to be done), `commits`, `packages`,
        `minutes` of work in all, and `spec`.
    """
    cells = placed(store, experiment)
    runs = {cell.run.id: cell.run for cell in cells if cell.run is not None}
    some = next(iter(runs.values()), None)
    settings = EvaluationSettings() if some is None else saved_section(some, "evaluation", EvaluationSettings)
    names = list(experiment.spec["arms"])
    by_arm = {name: [cell for cell in cells if cell.arm == name] for name in names}
    baseline = experiment.spec["measured_over"]
    seed = experiment.spec["seeds"][0]
    gains = _gains(by_arm, baseline, settings, seed)
    rows = [_row(store, name, by_arm[name], experiment.spec["arms"][name], settings, seed) for name in names]
    for row in rows:
        row["gain"] = gains.get(row["arm"])
    simulated = bool(runs) and all(run.cast["simulated"] for run in runs.values())
    return {
        "experiment": experiment.name,
        "about": experiment.spec["about"],
        "cast": "simulated" if simulated else "models",
        "models": {} if some is None else {role: some.cast[role] for role in ("teacher", "critic", "judge")},
        "notes": list(dict.fromkeys(note for run in runs.values() for note in cast_notes(run.cast))),
        "task": None if some is None else some.task,
        "student": None if some is None else some.config["student"]["model"],
        "seeds": list(experiment.spec["seeds"]),
        "baseline": baseline,
        "confidence": settings.confidence,
        "test_inputs": max((len({one.input_id for one in cell.outputs}) for cell in cells), default=0),
        "arms": rows,
        "failed": [
            {
                "arm": cell.arm,
                "seed": cell.seed,
                "run": cell.run and cell.run.id,
                "error": cell.error,
                "state": "failed" if cell.failed else "left",
            }
            for cell in cells
            if cell.error is not None
        ],
        "commits": sorted({run.git_commit for run in runs.values() if run.git_commit is not None}),
        "packages": _packages(list(runs.values())),
        "minutes": sum(run.seconds for run in runs.values()) / 60,
        "created_at": experiment.created_at.isoformat(),
        "finished_at": max((run.finished_at.isoformat() for run in runs.values() if run.finished_at), default=None),
        "arguments": experiment.arguments,
        "spec": experiment.spec,
    }


def _row(
    store: Reader, name: str, cells: Sequence[Placed], arm: Mapping[str, Any], settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """One arm: `judge` as `ArmSummary` has it, `texts` as `ArmTexts`, `cost`; None where no seed is done."""
    done = [cell for cell in cells if cell.outputs]
    outputs = [output for cell in done for output in cell.outputs]
    learned = {text for cell in done for text in _learned(store, cell)}
    summary = arm_summary(outputs, settings, seed) if outputs else None
    texts = arm_texts(outputs, settings, seed, trained_on=learned or None) if outputs else None
    runs = [cell.run for cell in cells if cell.run is not None]
    return {
        "arm": name,
        "note": arm["note"],
        "of": arm["of"],
        "train_on": arm["train_on"],
        "set": arm["set"],
        "seeds_done": [cell.seed for cell in done],
        "runs": {cell.seed: cell.run.id for cell in cells if cell.run is not None},
        "versions": {cell.seed: cell.version for cell in cells if cell.version is not None},
        "judge": None if summary is None else summary.as_json(),
        "texts": None if texts is None else texts.as_json(),
        "trained": _trained(store, done),
        "dev": _on_dev(store, done),
        "cost": cost_of(store, done),
        "minutes": 0.0 if arm["of"] and not arm["set"] else sum(run.seconds for run in runs) / 60,
    }


def _gains(
    by_arm: Mapping[str, Sequence[Placed]], baseline: str, settings: EvaluationSettings, seed: int
) -> dict[str, dict[str, Any]]:
    """By how much each arm's win-tie rate is above the baseline's, paired, with p-values corrected for their number."""
    outputs = {name: [output for cell in cells for output in cell.outputs] for name, cells in by_arm.items()}
    before = outputs[baseline]
    found: dict[str, Difference] = {}
    for name, after in outputs.items():
        if name != baseline and before and after:
            difference = arm_difference(before, after, settings, seed)
            if difference is not None:
                found[name] = difference
    holm = corrected(found, settings)
    return {
        name: {
            "value": one.value,
            "ci": [one.low, one.high],
            "p": one.p,
            "p_corrected": holm[name].p,
            "clear": holm[name].clear,
        }
        for name, one in found.items()
    }


def _why(store: Reader, run: Run | None) -> str:
    """Why a cell has no outputs."""
    if run is None:
        return "not begun"
    if run.status == "finished":
        return "not judged on the test inputs to the end"
    return run.error or live_status(store, run)


def _chain(store: Reader, cell: Placed) -> list[Training]:
    """The trainings that made a cell's adapter, the latest first."""
    assert cell.run is not None
    rows = {row.version: row for row in store.select(Adapter, run_id=cell.run.id)}
    found, version = [], cell.version
    while version and (row := rows.get(version)) is not None:
        if (training := store.get(Training, row.training_id or "")) is not None:
            found.append(training)
        version = row.parent_version
    return found


def _learned(store: Reader, cell: Placed) -> set[str]:
    """The texts that a cell's adapter has learned to say: demonstrations, and the better ones of preferences."""
    trainings = [training.id for training in _chain(store, cell)]
    items = store.select(TrainingItem, training_id=trainings) if trainings else []
    chosen = [item.preference_id for item in items if item.preference_id is not None]
    turns = [row.chosen_turn_id for row in store.select(Preference, id=chosen)] if chosen else []
    turns += [item.turn_id for item in items if item.turn_id is not None]
    return {row[0] for row in store.rows(select(col(Turn.content)).where(col(Turn.id).in_(turns)))} if turns else set()


def _trained(store: Reader, cells: Sequence[Placed]) -> dict[str, Any] | None:
    """The last training of each cell's adapter: objectives, and examples, optimizer steps and minutes on average."""
    last = [chain[0] for cell in cells if cell.version and (chain := _chain(store, cell))]
    if not last:
        return None
    return {
        "objectives": sorted({row.objective for row in last}),
        "labels": sorted({row.metrics.get("labels", "critic") for row in last}),
        "examples": sum(row.examples for row in last) / len(last),
        "steps": sum(row.metrics.get("steps", 0) for row in last) / len(last),
        "minutes": sum(row.metrics.get("seconds", 0.0) for row in last) / len(last) / 60,
    }


def _on_dev(store: Reader, cells: Sequence[Placed]) -> list[dict[str, Any]]:
    """How every version of an arm's own campaigns did on dev inputs, which decided whether it was promoted."""
    found = []
    for cell in cells:
        assert cell.run is not None
        if cell.kind != "campaign":
            continue
        status = {row.version: row.status for row in store.select(Adapter, run_id=cell.run.id)}
        rows = store.select(
            Evaluation, run_id=cell.run.id, split=Split.DEV, status="finished", order_by="adapter_version"
        )
        found += [
            {
                "seed": cell.seed,
                "version": row.adapter_version,
                "status": status[row.adapter_version],
                **{name: row.summary[name] for name in ("win_tie_rate", "ci", "n")},
            }
            for row in rows
        ]
    return found


def _packages(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The versions of each package that any run was carried out with."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for name, version in run.packages.items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(versions) for name, versions in found.items()}


def sampled_outputs(store: Reader, experiment: ExperimentRow, number: int = 4) -> list[dict[str, Any]]:
    """What every arm that is done said of the same test inputs, with the first seed.

    Returns:
        For each of at most `number` inputs what `side_by_side` gives, with `arm` for what each output is of.
    """
    first = experiment.spec["seeds"][0]
    cells = [cell for cell in placed(store, experiment) if cell.seed == first and cell.outputs]
    return side_by_side({cell.arm: cell.outputs for cell in cells}, number, "arm")
